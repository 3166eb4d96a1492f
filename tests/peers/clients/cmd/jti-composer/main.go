// jti-composer is a SPIRE server plugin (CredentialComposer) that puts a fresh random "jti" into every JWT-SVID.
// A stock SPIRE server issues none; with this one loaded, destinations that check for replay can be tested.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"github.com/spiffe/spire-plugin-sdk/pluginmain"
	credentialcomposerv1 "github.com/spiffe/spire-plugin-sdk/proto/spire/plugin/server/credentialcomposer/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

type composer struct {
	credentialcomposerv1.UnimplementedCredentialComposerServer
}

func (composer) ComposeWorkloadJWTSVID(_ context.Context, req *credentialcomposerv1.ComposeWorkloadJWTSVIDRequest) (*credentialcomposerv1.ComposeWorkloadJWTSVIDResponse, error) {
	if req.GetAttributes().GetClaims() == nil {
		return nil, status.Error(codes.InvalidArgument, "request has no claims")
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return nil, status.Errorf(codes.Internal, "read random bytes: %v", err)
	}
	req.Attributes.Claims.Fields["jti"] = structpb.NewStringValue(hex.EncodeToString(id))
	return &credentialcomposerv1.ComposeWorkloadJWTSVIDResponse{Attributes: req.Attributes}, nil
}

func main() {
	pluginmain.Serve(credentialcomposerv1.CredentialComposerPluginServer(composer{}))
}
