"""The command line, one thin file per verb: read the arguments, call one function, print."""
