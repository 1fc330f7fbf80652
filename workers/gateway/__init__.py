"""The web front of the order pipeline: takes orders over HTTP and loses none that it has accepted."""
