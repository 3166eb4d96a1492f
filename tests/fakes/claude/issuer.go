package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxDocumentBytes = 1 << 20
	// An attacker who sends unknown kids must not make us fetch for each of them.
	minRefetch = time.Second
)

// Issuer holds the keys of one federation issuer, found by OIDC discovery.
type Issuer struct {
	url     string
	refresh time.Duration
	client  *http.Client
	now     func() time.Time

	mu        sync.Mutex
	keys      jose.JSONWebKeySet
	fetchedAt time.Time
	triedAt   time.Time
}

func newIssuer(config IssuerConfig, now func() time.Time) *Issuer {
	return &Issuer{
		url:     config.URL,
		refresh: time.Duration(config.RefreshSeconds) * time.Second,
		now:     now,
		client: &http.Client{
			Timeout: 5 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			},
		},
	}
}

// key returns the key with the given kid, fetching the key set when it is old or does not have it.
func (i *Issuer) key(ctx context.Context, kid string) (*jose.JSONWebKey, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	fresh := !i.fetchedAt.IsZero() && i.now().Sub(i.fetchedAt) < i.refresh
	if found := i.keys.Key(kid); fresh && len(found) > 0 {
		return &found[0], nil
	}
	if !i.triedAt.IsZero() && i.now().Sub(i.triedAt) < minRefetch {
		return nil, errors.New("unknown key, and the key set was just fetched")
	}
	i.triedAt = i.now()
	keys, err := i.fetch(ctx)
	if err != nil {
		return nil, err
	}
	i.keys, i.fetchedAt = *keys, i.now()
	if found := i.keys.Key(kid); len(found) > 0 {
		return &found[0], nil
	}
	return nil, errors.New("unknown key")
}

func (i *Issuer) fetch(ctx context.Context) (*jose.JSONWebKeySet, error) {
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := i.get(ctx, strings.TrimSuffix(i.url, "/")+"/.well-known/openid-configuration", &document); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if document.Issuer != i.url {
		return nil, fmt.Errorf("discovery names issuer %q, registered is %q", document.Issuer, i.url)
	}
	keys := &jose.JSONWebKeySet{}
	if err := i.get(ctx, document.JWKSURI, keys); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	return keys, nil
}

func (i *Issuer) get(ctx context.Context, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := i.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", url, response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxDocumentBytes))
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}
