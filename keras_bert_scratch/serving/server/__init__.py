"""The server behind `keras-bert serve`: exported models over HTTP and gRPC."""
