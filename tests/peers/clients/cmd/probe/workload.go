package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func (o options) clientOption() workloadapi.SourceOption {
	return workloadapi.WithClientOptions(workloadapi.WithAddr("unix://" + o.socket))
}

func (o options) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), o.timeout)
}

func runIDs(o options) (any, error) {
	ctx, cancel := o.context()
	defer cancel()
	svids, err := workloadapi.FetchX509SVIDs(ctx, workloadapi.WithAddr("unix://"+o.socket))
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(svids))
	for _, svid := range svids {
		ids = append(ids, svid.ID.String())
	}
	return map[string]any{"spiffe_ids": ids}, nil
}

func runX509(o options) (any, error) {
	ctx, cancel := o.context()
	defer cancel()
	source, err := workloadapi.NewX509Source(ctx, o.clientOption())
	if err != nil {
		return nil, err
	}
	defer source.Close()
	svid, err := source.GetX509SVID()
	if err != nil {
		return nil, err
	}
	bundle, err := source.GetX509BundleForTrustDomain(svid.ID.TrustDomain())
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"spiffe_id":   svid.ID.String(),
		"hint":        svid.Hint,
		"serial":      svid.Certificates[0].SerialNumber.String(),
		"not_after":   svid.Certificates[0].NotAfter.Unix(),
		"chain":       len(svid.Certificates),
		"authorities": len(bundle.X509Authorities()),
	}, nil
}

func runJWT(o options) (any, error) {
	ctx, cancel := o.context()
	defer cancel()
	source, err := workloadapi.NewJWTSource(ctx, o.clientOption())
	if err != nil {
		return nil, err
	}
	defer source.Close()
	svid, err := source.FetchJWTSVID(ctx, jwtsvid.Params{Audience: o.audience})
	if err != nil {
		return nil, err
	}
	local, err := jwtsvid.ParseAndValidate(svid.Marshal(), source, []string{o.audience})
	if err != nil {
		return nil, fmt.Errorf("validate with the bundle: %w", err)
	}
	remote, err := workloadapi.ValidateJWTSVID(ctx, svid.Marshal(), o.audience, workloadapi.WithAddr("unix://"+o.socket))
	if err != nil {
		return nil, fmt.Errorf("validate by the agent: %w", err)
	}
	if local.ID != remote.ID {
		return nil, fmt.Errorf("validated here as %s, by the agent as %s", local.ID, remote.ID)
	}
	return map[string]any{
		"spiffe_id":  svid.ID.String(),
		"audience":   svid.Audience,
		"expires_at": svid.Expiry.Unix(),
		"claims":     local.Claims,
		"token":      svid.Marshal(),
	}, nil
}

func runMTLS(o options) (any, error) {
	ctx, cancel := o.context()
	defer cancel()
	source, err := workloadapi.NewX509Source(ctx, o.clientOption())
	if err != nil {
		return nil, err
	}
	defer source.Close()
	svid, err := source.GetX509SVID()
	if err != nil {
		return nil, err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", tlsconfig.MTLSServerConfig(source, source, tlsconfig.AuthorizeID(svid.ID)))
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	served := make(chan error, 1)
	go func() { served <- echoOnce(listener) }()
	dialer := tls.Dialer{Config: tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(svid.ID))}
	conn, err := dialer.DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello\n")); err != nil {
		return nil, err
	}
	answer := make([]byte, 6)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, errors.Join(err, <-served)
	}
	return map[string]any{"spiffe_id": svid.ID.String(), "echo": string(answer[:5])}, <-served
}

func echoOnce(listener net.Listener) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	line := make([]byte, 6)
	if _, err := io.ReadFull(conn, line); err != nil {
		return err
	}
	_, err = conn.Write(line)
	return err
}

// watcher prints one line for each update and stops after `left` of them.
type watcher struct {
	left int
	done context.CancelFunc
}

func (w *watcher) OnX509ContextUpdate(update *workloadapi.X509Context) {
	if w.left == 0 {
		return
	}
	ids := make([]string, 0, len(update.SVIDs))
	serials := make([]string, 0, len(update.SVIDs))
	for _, svid := range update.SVIDs {
		ids = append(ids, svid.ID.String())
		serials = append(serials, svid.Certificates[0].SerialNumber.String())
	}
	domains := []string{}
	for _, bundle := range update.Bundles.Bundles() {
		domains = append(domains, bundle.TrustDomain().String())
	}
	printJSON(map[string]any{"spiffe_ids": ids, "serials": serials, "bundles": domains, "at": time.Now().UnixMilli()})
	if w.left--; w.left == 0 {
		w.done()
	}
}

func (w *watcher) OnX509ContextWatchError(err error) {
	if w.left > 0 {
		printJSON(map[string]any{"error": err.Error(), "at": time.Now().UnixMilli()})
	}
}

func runWatch(o options) (any, error) {
	ctx, cancel := o.context()
	defer cancel()
	w := &watcher{left: o.count, done: cancel}
	err := workloadapi.WatchX509Context(ctx, w, workloadapi.WithAddr("unix://"+o.socket))
	if w.left > 0 {
		return nil, fmt.Errorf("%d updates did not come: %w", w.left, err)
	}
	return nil, nil
}
