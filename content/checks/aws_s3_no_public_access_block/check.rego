# Bucket without a block of public access.
package lemnis.aws_s3_no_public_access_block

import rego.v1

fail contains {"resource": i, "path": ["related", "aws_s3_bucket_public_access_block"], "message": "no aws_s3_bucket_public_access_block refers to it"} if {
    some i, one in input.resources
    not one.related.aws_s3_bucket_public_access_block
}
