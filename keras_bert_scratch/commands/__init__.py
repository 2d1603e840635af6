"""The command line, one thin file per command: parse the arguments, call one function, print."""
