"""Which engine this is: tools parse these."""

ENGINE = "29.7.2+wherry.0.1.0"  # the Docker Engine that the newest API belongs to, then our own
WHERRY = "0.1.0"
API = "1.55"
MIN_API = "1.24"
