//go:build tools

// Package main names the program that is built here, for its versions.
package main

import _ "github.com/versity/versitygw/cmd/versitygw"
