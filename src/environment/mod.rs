//! Where a job's scripts run: a closed family, one file or folder a member.
