"""What tests share: small networks, goldens, doubles and helpers."""
