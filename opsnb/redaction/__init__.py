"""Remove secrets from text before it is shown or kept.

Two ways together: values that are known to be secret (passwords in URLs and connection strings,
environment variables whose names say so), in every encoding in which they turn up, and shapes that
are secret wherever they stand (keys of well-known services, `Authorization` headers, URLs with
passwords). Nothing is masked for merely looking random: hashes, ids and numbers are what people
read records for.

Every pattern here takes time linear in the text: each begins with something rare, and nothing
unbounded is repeated inside a repetition.
"""

from opsnb.redaction.environment import environment_secrets as environment_secrets
from opsnb.redaction.mask import MASK as MASK
from opsnb.redaction.redactor import Redactor as Redactor
from opsnb.redaction.settings import header_secrets as header_secrets
from opsnb.redaction.settings import value_secrets as value_secrets
from opsnb.redaction.urls import safe_url as safe_url
from opsnb.redaction.urls import url_secrets as url_secrets
