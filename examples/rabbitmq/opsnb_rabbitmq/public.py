"""What notebooks call: see the package."""

from opsnb_rabbitmq.checks import alarms, consumers, depth, ping, queue_names, queues
from opsnb_rabbitmq.purging import purge

__all__ = ["alarms", "consumers", "depth", "ping", "purge", "queue_names", "queues"]
