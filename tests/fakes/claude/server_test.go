package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const testOrganization = "01234567-89ab-cdef-0123-456789abcdef"

// bench is a stand-in with its issuer and a clock that the test moves.
type bench struct {
	t      *testing.T
	key    *ecdsa.PrivateKey
	issuer *httptest.Server
	server *Server
	api    *httptest.Server
	admin  *httptest.Server
	now    time.Time
	// fetches counts reads of the key set.
	fetches int
}

func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, key: key, now: time.Now().Truncate(time.Second)}
	mux := http.NewServeMux()
	b.issuer = httptest.NewServer(mux)
	t.Cleanup(b.issuer.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, b.issuer.URL, b.issuer.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		b.fetches++
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k1"}}})
	})
	config := &Config{
		OrganizationID: testOrganization,
		Issuer:         IssuerConfig{URL: b.issuer.URL},
		Rules: []Rule{{
			ID: "fdrl_one", ServiceAccountID: "svac_one", SubjectPrefix: "spiffe://example.org/w*", TokenLifetimeSeconds: 600,
		}},
	}
	if change != nil {
		change(config)
	}
	if err := config.check(); err != nil {
		t.Fatal(err)
	}
	b.server = newServer(config, func() time.Time { return b.now })
	b.api = httptest.NewServer(b.server.api())
	t.Cleanup(b.api.Close)
	b.admin = httptest.NewServer(b.server.admin())
	t.Cleanup(b.admin.Close)
	return b
}

func (b *bench) claims() map[string]any {
	return map[string]any{
		"iss": b.issuer.URL, "sub": "spiffe://example.org/w1", "aud": []string{defaultAudience},
		"iat": b.now.Unix(), "exp": b.now.Add(5 * time.Minute).Unix(), "jti": randomHex(8),
	}
}

func (b *bench) sign(claims map[string]any, kid string) string {
	b.t.Helper()
	key := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: b.key, KeyID: kid}}
	signer, err := jose.NewSigner(key, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	payload, _ := json.Marshal(claims)
	signed, err := signer.Sign(payload)
	if err != nil {
		b.t.Fatal(err)
	}
	compact, _ := signed.CompactSerialize()
	return compact
}

func (b *bench) fields(assertion string) map[string]any {
	return map[string]any{
		"grant_type": grantType, "assertion": assertion, "federation_rule_id": "fdrl_one",
		"organization_id": testOrganization, "service_account_id": "svac_one",
	}
}

type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (b *bench) post(url string, body any, headers map[string]string) (*answer, error) {
	b.t.Helper()
	raw, _ := json.Marshal(body)
	request, _ := http.NewRequest(http.MethodPost, url, bytes.NewReader(raw))
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	result := &answer{status: response.StatusCode, header: response.Header}
	json.Unmarshal(text, &result.body)
	return result, err
}

func exchangeHeaders() map[string]string {
	return map[string]string{
		"Content-Type": "application/json", "anthropic-beta": oauthBeta + "," + federationBeta,
	}
}

func (b *bench) exchange(fields map[string]any) *answer {
	b.t.Helper()
	result, err := b.post(b.api.URL+"/v1/oauth/token", fields, exchangeHeaders())
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

func (b *bench) lastOutcome() string {
	attempts := b.server.history.list()
	if len(attempts) == 0 {
		return ""
	}
	return attempts[len(attempts)-1].Outcome
}

func (a *answer) errorType() string {
	envelope, _ := a.body["error"].(map[string]any)
	text, _ := envelope["type"].(string)
	return text
}

func TestGrantsATokenThatTheMessagesAPITakes(t *testing.T) {
	b := newBench(t, nil)
	granted := b.exchange(b.fields(b.sign(b.claims(), "k1")))
	if granted.status != 200 || granted.body["token_type"] != "Bearer" || granted.body["expires_in"] != 600.0 {
		t.Fatalf("unexpected answer %+v (%s)", granted, b.lastOutcome())
	}
	token := granted.body["access_token"].(string)
	if !strings.HasPrefix(token, tokenPrefix) || granted.header.Get("request-id") == "" {
		t.Errorf("unexpected answer %+v", granted)
	}
	headers := map[string]string{
		"Authorization": "Bearer " + token, "anthropic-beta": oauthBeta, "anthropic-version": "2023-06-01",
		"Content-Type": "application/json",
	}
	prompt := map[string]any{
		"model": "claude-test", "max_tokens": 10, "messages": []any{map[string]any{"role": "user", "content": "hello"}},
	}
	said, err := b.post(b.api.URL+"/v1/messages", prompt, headers)
	if err != nil || said.status != 200 {
		t.Fatalf("unexpected answer %+v, %v", said, err)
	}
	text := said.body["content"].([]any)[0].(map[string]any)["text"]
	if text != "You said: hello" {
		t.Errorf("unexpected text %v", text)
	}

	for name, broken := range map[string]map[string]string{
		"other token": {"Authorization": "Bearer " + token + "x"},
		"api key":     {"X-Api-Key": "sk-ant-api03-x"},
		"no beta":     {"anthropic-beta": "other"},
	} {
		changed := map[string]string{}
		for key, value := range headers {
			changed[key] = value
		}
		for key, value := range broken {
			changed[key] = value
		}
		if refused, _ := b.post(b.api.URL+"/v1/messages", prompt, changed); refused.status != 401 {
			t.Errorf("%s: got %d", name, refused.status)
		}
	}
	b.now = b.now.Add(600 * time.Second)
	if expired, _ := b.post(b.api.URL+"/v1/messages", prompt, headers); expired.status != 401 {
		t.Errorf("expired token: got %d", expired.status)
	}
}

func TestLifetimeFollowsTheAssertion(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Rules[0].TokenLifetimeSeconds = 3600 })
	for life, want := range map[time.Duration]float64{
		5 * time.Minute: 600, 10 * time.Second: 60, 50 * time.Minute: 3600,
	} {
		claims := b.claims()
		claims["exp"] = b.now.Add(life).Unix()
		granted := b.exchange(b.fields(b.sign(claims, "k1")))
		if granted.body["expires_in"] != want {
			t.Errorf("life %v: got %v, want %v", life, granted.body["expires_in"], want)
		}
	}
}

func TestRefusesAssertions(t *testing.T) {
	cases := []struct {
		name, outcome string
		change        func(b *bench, claims map[string]any)
	}{
		{"audience", "match_audience", func(_ *bench, c map[string]any) { c["aud"] = "other" }},
		{"subject", "match_subject_prefix", func(_ *bench, c map[string]any) { c["sub"] = "spiffe://example.org/x" }},
		{"issuer", "issuer_mismatch", func(b *bench, c map[string]any) { c["iss"] = b.issuer.URL + "/" }},
		{"expired", "expired", func(b *bench, c map[string]any) { c["exp"] = b.now.Add(-31 * time.Second).Unix() }},
		{"future", "issued_in_the_future", func(b *bench, c map[string]any) { c["iat"] = b.now.Add(31 * time.Second).Unix() }},
		{"not before", "not_yet_valid", func(b *bench, c map[string]any) { c["nbf"] = b.now.Add(31 * time.Second).Unix() }},
		{"too long", "lifetime_too_long", func(b *bench, c map[string]any) { c["exp"] = b.now.Add(3601 * time.Second).Unix() }},
		{"no iat", "exp_or_iat_missing", func(_ *bench, c map[string]any) { delete(c, "iat") }},
		{"no sub", "sub_missing", func(_ *bench, c map[string]any) { delete(c, "sub") }},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, nil)
			claims := b.claims()
			tc.change(b, claims)
			refused := b.exchange(b.fields(b.sign(claims, "k1")))
			if refused.status != 401 || refused.errorType() != "authentication_error" {
				t.Errorf("got %+v", refused)
			}
			if b.lastOutcome() != tc.outcome {
				t.Errorf("got outcome %q, want %q", b.lastOutcome(), tc.outcome)
			}
		})
	}
}

func TestSkewOfThirtySecondsIsForgiven(t *testing.T) {
	b := newBench(t, nil)
	claims := b.claims()
	claims["iat"] = b.now.Add(29 * time.Second).Unix()
	claims["nbf"] = claims["iat"]
	if granted := b.exchange(b.fields(b.sign(claims, "k1"))); granted.status != 200 {
		t.Errorf("got %d, %s", granted.status, b.lastOutcome())
	}
}

func TestJTIIsGoodForOneExchange(t *testing.T) {
	b := newBench(t, nil)
	assertion := b.sign(b.claims(), "k1")
	if first := b.exchange(b.fields(assertion)); first.status != 200 {
		t.Fatalf("got %d", first.status)
	}
	if second := b.exchange(b.fields(assertion)); second.status != 401 || b.lastOutcome() != "jti_reused" {
		t.Errorf("got %d, %s", second.status, b.lastOutcome())
	}
	claims := b.claims()
	delete(claims, "jti")
	exempt := b.sign(claims, "k1")
	for range 2 {
		if answer := b.exchange(b.fields(exempt)); answer.status != 200 {
			t.Errorf("without jti: got %d", answer.status)
		}
	}
}

func TestUnknownKeyRefreshesOnceAndKeysAreCached(t *testing.T) {
	b := newBench(t, nil)
	for range 3 {
		b.exchange(b.fields(b.sign(b.claims(), "k1")))
	}
	if b.fetches != 1 {
		t.Errorf("got %d fetches, want 1", b.fetches)
	}
	b.now = b.now.Add(2 * time.Second)
	for range 3 {
		if refused := b.exchange(b.fields(b.sign(b.claims(), "other"))); refused.status != 401 {
			t.Errorf("got %d", refused.status)
		}
	}
	if b.fetches != 2 {
		t.Errorf("got %d fetches, want 2", b.fetches)
	}
	if refused := b.exchange(b.fields(b.sign(b.claims(), ""))); refused.status != 401 || b.lastOutcome() != "kid_missing" {
		t.Errorf("got %d, %s", refused.status, b.lastOutcome())
	}
}

func TestRefusesForms(t *testing.T) {
	cases := map[string]func(fields map[string]any){
		"grant type":        func(f map[string]any) { f["grant_type"] = "client_credentials" },
		"unknown field":     func(f map[string]any) { f["scope"] = "workspace:inference" },
		"empty field":       func(f map[string]any) { f["workspace_id"] = "" },
		"null field":        func(f map[string]any) { f["workspace_id"] = nil },
		"no assertion":      func(f map[string]any) { delete(f, "assertion") },
		"no account":        func(f map[string]any) { delete(f, "service_account_id") },
		"rule form":         func(f map[string]any) { f["federation_rule_id"] = "rule" },
		"organization form": func(f map[string]any) { f["organization_id"] = "org" },
		"workspace form":    func(f map[string]any) { f["workspace_id"] = "w" },
		"large assertion":   func(f map[string]any) { f["assertion"] = strings.Repeat("a", maxAssertionBytes+1) },
	}
	b := newBench(t, nil)
	for name, change := range cases {
		fields := b.fields(b.sign(b.claims(), "k1"))
		change(fields)
		if refused := b.exchange(fields); refused.status != 400 || refused.errorType() != "invalid_request_error" {
			t.Errorf("%s: got %+v", name, refused)
		}
	}
	for name, value := range map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "anthropic-beta": oauthBeta, "Authorization": "Bearer x",
	} {
		headers := exchangeHeaders()
		headers[name] = value
		refused, _ := b.post(b.api.URL+"/v1/oauth/token", b.fields(b.sign(b.claims(), "k1")), headers)
		if refused.status != 400 {
			t.Errorf("header %s: got %d", name, refused.status)
		}
	}
}

func TestRefusesByRule(t *testing.T) {
	cases := map[string]struct {
		field, value, outcome string
	}{
		"organization": {"organization_id", "11111111-89ab-cdef-0123-456789abcdef", "organization_unknown"},
		"account":      {"service_account_id", "svac_two", "service_account_mismatch"},
		"rule":         {"federation_rule_id", "fdrl_two", "rule_unknown"},
		"workspace":    {"workspace_id", "wrkspc_two", "workspace_not_enabled"},
	}
	b := newBench(t, nil)
	for name, tc := range cases {
		fields := b.fields(b.sign(b.claims(), "k1"))
		fields[tc.field] = tc.value
		if refused := b.exchange(fields); refused.status != 401 || b.lastOutcome() != tc.outcome {
			t.Errorf("%s: got %d, %s", name, refused.status, b.lastOutcome())
		}
	}
	if result, _ := b.post(b.admin.URL+"/rules/fdrl_one/disable", nil, nil); result.status != 204 {
		t.Fatalf("disable: got %d", result.status)
	}
	if refused := b.exchange(b.fields(b.sign(b.claims(), "k1"))); refused.status != 401 || b.lastOutcome() != "rule_disabled" {
		t.Errorf("disabled: got %d, %s", refused.status, b.lastOutcome())
	}
}

func TestOlderGenerationAnswersLikeOAuth(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Generation = "older" })
	claims := b.claims()
	claims["aud"] = "other"
	if refused := b.exchange(b.fields(b.sign(claims, "k1"))); refused.status != 400 || refused.body["error"] != "invalid_grant" {
		t.Errorf("got %+v", refused)
	}
	if refused := b.exchange(map[string]any{}); refused.status != 400 || refused.body["error"] != "invalid_request" {
		t.Errorf("got %+v", refused)
	}
}

func TestFaults(t *testing.T) {
	b := newBench(t, nil)
	inject := func(fault Fault) {
		t.Helper()
		if result, err := b.post(b.admin.URL+"/faults", fault, nil); err != nil || result.status != 204 {
			t.Fatalf("got %+v, %v", result, err)
		}
	}
	try := func() (*answer, error) {
		return b.post(b.api.URL+"/v1/oauth/token", b.fields(b.sign(b.claims(), "k1")), exchangeHeaders())
	}
	inject(Fault{Kind: "status", Status: 429, RetryAfter: "7"})
	if limited, err := try(); err != nil || limited.status != 429 || limited.header.Get("Retry-After") != "7" {
		t.Errorf("got %+v, %v", limited, err)
	}
	for _, kind := range []string{"truncated", "reset"} {
		before := len(b.server.history.list())
		inject(Fault{Kind: kind})
		if result, err := try(); err == nil {
			t.Errorf("%s: got a whole answer %+v", kind, result)
		}
		if len(b.server.history.list()) == before || b.lastOutcome() != "granted" {
			t.Errorf("%s: the request was not processed", kind)
		}
	}
	inject(Fault{Kind: "html"})
	if page, err := try(); err != nil || page.status != 200 || page.body != nil {
		t.Errorf("got %+v, %v", page, err)
	}
	if normal, err := try(); err != nil || normal.status != 200 {
		t.Errorf("after the faults: got %+v, %v", normal, err)
	}
}

func TestOtherPathsAreNotFoundInTheEnvelope(t *testing.T) {
	b := newBench(t, nil)
	result, err := b.post(b.api.URL+"/v1/models", nil, nil)
	if err != nil || result.status != 404 || result.errorType() != "not_found_error" {
		t.Errorf("got %+v, %v", result, err)
	}
	if result.header.Get("request-id") == "" || result.body["request_id"] != result.header.Get("request-id") {
		t.Errorf("request id missing in %+v", result)
	}
}
