"""Networks that no package ships, written from their papers at small size."""
