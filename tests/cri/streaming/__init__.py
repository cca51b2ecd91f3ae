"""The streaming protocols, each alone and pure, and then the server and the client over real sockets."""
