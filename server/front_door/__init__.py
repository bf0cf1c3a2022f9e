"""One public TCP port for gRPC, web and TURN: told apart by first bytes, then carried on byte for byte."""
