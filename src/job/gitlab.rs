//! GitLab's own word on who the job is, and the project variables API.
