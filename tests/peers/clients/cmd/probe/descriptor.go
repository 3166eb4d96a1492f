package main

import (
	"encoding/json"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protodesc"
)

// runDescriptor prints the Workload API as go-spiffe was built with it: a FileDescriptorProto in JSON.
func runDescriptor(options) (any, error) {
	text, err := protojson.Marshal(protodesc.ToFileDescriptorProto(workload.File_workload_proto))
	return json.RawMessage(text), err
}
