"""Gluon's vision model zoo: half of the channels of every network removed, beside a reference of our own."""
