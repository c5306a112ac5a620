"""What the utility knows about its meters: ratings, contracts, sites, approvals."""
