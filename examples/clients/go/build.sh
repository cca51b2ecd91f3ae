#!/bin/sh
# Generate the package cri from the repository's proto and build the program, with Debian's packages and no network.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
proto=$here/../../../proto/cri/v1
out=${1:-$here/build}
source=$out/src/minicri.example
mkdir -p "$source/cri"
protoc --proto_path="$proto" \
    --go_out="$source/cri" --go_opt=paths=source_relative --go_opt=Mapi.proto=minicri.example/cri \
    --go-grpc_out="$source/cri" --go-grpc_opt=paths=source_relative --go-grpc_opt=Mapi.proto=minicri.example/cri \
    api.proto
cp "$here/main.go" "$source"
cd "$source"
GO111MODULE=off GOPATH=$out:/usr/share/gocode GOCACHE=$out/cache GOFLAGS= go build -o "$out/run" .
