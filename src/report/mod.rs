//! What is told: job log lines, report files.
