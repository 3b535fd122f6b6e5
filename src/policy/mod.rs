//! What is allowed: the platform team's file and the pure decisions on job, task and profile.
