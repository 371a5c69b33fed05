type Result<T> = { ok: true; value: T } | { ok: false; error: Error };

function parse(text: string): Result<Record<string, unknown>> {
  try {
    return { ok: true, value: JSON.parse(text) as Record<string, unknown> };
  } catch (error: unknown) {
    return { ok: false, error: error as Error };
  }
}

const inputs: readonly string[] = ['{"a": 1}', 'not json'];
inputs.map(parse).forEach((result: Result<Record<string, unknown>>, index: number): void => {
  if (result.ok) {
    console.log(index, Object.keys(result.value!).join());
  } else {
    console.log(index, result.error.name);
  }
});
