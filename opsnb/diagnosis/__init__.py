"""What may cause a symptom: measurements that compare several systems."""
