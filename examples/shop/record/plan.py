"""What the recording is made of: addresses, names, keys and numbers that several of its programs share.

All addresses are of ranges kept for documentation, benchmarks, private use or link-local; they exist only in
network namespaces that have no way out. All keys are made up.
"""

from __future__ import annotations

# Host
NODE = "node-1"
NODE_ADDRESS = "10.20.0.10"
WEB = ("10.20.0.21", 8080)
STOCK = ("10.20.0.22", 8090)
GATEWAY = "10.20.0.1"
SERVICE_USER = 10001  # as the image says
REGISTRY = "registry.shop.example/shop"
PODS = "shop"  # the Kubernetes namespace

# Cloud
METADATA = "169.254.169.254"
SHOP_PUBLIC = "198.18.0.80"
API = "198.18.0.100"
ACCOUNT = "123456789012"
REGION = "eu-central-1"
INSTANCE = "i-0123456789abcdef0"
ROLE = "shop-node"
BUCKET = "shop-invoices"
EXAMPLE_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # noqa: S105 - the documentation's example
NODE_KEY = "ASIAEXAMPLENODE00001"
DEPLOY_KEY = "ASIAEXAMPLEDEPLOY001"
TERRAFORM_KEY = "ASIAEXAMPLETERRA0001"
OPERATOR_KEYS = {"priya": "AKIAEXAMPLEPRIYA0001", "tomasz": "AKIAEXAMPLETOMASZ001"}

# Outside
OUTSIDE_GATEWAY = "192.0.2.1"
OUTSIDE = "192.0.2.2"
OFFICE = "192.0.2.10"
RUNNER = "192.0.2.40"
ATTACKERS = ("198.51.100.23", "198.51.100.24")  # the first does everything, the second helps guessing
SHOPPERS = tuple(
    [f"203.0.113.{n}" for n in range(2, 152)]
    + [f"192.0.2.{n}" for n in range(100, 180)]
    + [f"198.51.100.{n}" for n in range(120, 200)]
)

# People who log in to the node
OPERATORS = {"priya": 1501, "tomasz": 1502}
HEALTH_USER = ("health", 1600)
