echo "before"
some_command_that_does_not_exist --version
