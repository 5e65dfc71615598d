#!/bin/sh
for x in a; do done # expect: scripts
