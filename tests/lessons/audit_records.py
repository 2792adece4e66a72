"""Records of a cloud's and a cluster's audit log, as tests of lessons need them."""


def called(name, kind="AssumedRole", *, source="iam.amazonaws.com", minute=0, user="mia", number=1):
    return {
        "eventVersion": "1.11", "eventTime": f"2026-03-02T18:{minute:02}:00Z", "eventSource": source, "eventName": name,
        "userIdentity": {"type": kind, "principalId": "AIDAEXAMPLE", "userName": user, "accountId": "111122223333"},
        "awsRegion": "eu-central-1", "sourceIPAddress": "198.51.100.7", "userAgent": "aws-cli/2.30",
        "requestParameters": None, "responseElements": None, "requestID": "R1", "readOnly": False,
        "eventID": f"00000000-0000-4000-8000-{number:012}", "eventType": "AwsApiCall", "managementEvent": True,
        "recipientAccountId": "111122223333", "eventCategory": "Management",
    }  # fmt: skip


def pod(spec, verb="create", number=1):
    return {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "stage": "ResponseComplete",
        "auditID": f"6b1d0c1e-0000-4000-8000-{number:012}", "requestURI": "/", "verb": verb,
        "user": {"username": "mia@shop.example", "groups": ["developers"]}, "sourceIPs": ["203.0.113.9"],
        "userAgent": "kubectl/v1.33.1", "objectRef": {"resource": "pods", "namespace": "shop", "name": "web-1", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201}, "requestReceivedTimestamp": "2026-03-02T09:40:00.123456Z",
        "stageTimestamp": "2026-03-02T09:40:00.234567Z", "annotations": {"authorization.k8s.io/decision": "allow"},
        "requestObject": {"apiVersion": "v1", "kind": "Pod", "spec": spec},
    }  # fmt: skip


PRIVILEGED = {"containers": [{"name": "x", "securityContext": {"privileged": True}}]}
HOST = {"containers": [{"name": "x"}], "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}
PLAIN = {"containers": [{"name": "x", "securityContext": {"privileged": False}}]}
