import json


class ConfigError(RuntimeError):
    pass


def load(text):
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError("the configuration cannot be read") from error


print(load('{"debug": true}'))
load("{debug: true}")
