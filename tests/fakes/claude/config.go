package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
)

var (
	ruleIDForm           = regexp.MustCompile(`^fdrl_[A-Za-z0-9]+$`)
	serviceAccountIDForm = regexp.MustCompile(`^svac_[A-Za-z0-9]+$`)
	workspaceIDForm      = regexp.MustCompile(`^(default|wrkspc_[A-Za-z0-9]+)$`)
	uuidForm             = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

const defaultAudience = "https://api.anthropic.com"

// Config is the JSON file named by -config.
type Config struct {
	// Listen and AdminListen are host:port; port 0 picks a free one, printed at start.
	Listen      string `json:"listen"`
	AdminListen string `json:"admin_listen"`
	// TLSCert and TLSKey are PEM files; without them the API is plain http.
	TLSCert string `json:"tls_cert"`
	TLSKey  string `json:"tls_key"`

	// Generation of the token endpoint's errors: "newer" (401 envelope) or "older" (400 invalid_grant).
	Generation     string `json:"generation"`
	OrganizationID string `json:"organization_id"`
	// ServiceAccountOptional accepts requests without service_account_id, as SDKs send them when it is unset.
	ServiceAccountOptional bool `json:"service_account_optional"`
	// ShortestTokenSeconds replaces the vendor's 60, so that a test need not wait a minute for a token's end.
	ShortestTokenSeconds int64 `json:"shortest_token_seconds"`

	Issuer IssuerConfig `json:"issuer"`
	Rules  []Rule       `json:"rules"`
}

// IssuerConfig is the federation issuer; its keys come by OIDC discovery.
type IssuerConfig struct {
	URL string `json:"url"`
	// CheckJTI refuses a jti seen before; a token without jti is exempt. Default true.
	CheckJTI              *bool `json:"check_jti"`
	MaxJWTLifetimeSeconds int64 `json:"max_jwt_lifetime_seconds"`
	// RefreshSeconds is how long fetched keys are used. An unknown kid refreshes them at once.
	RefreshSeconds int64 `json:"refresh_seconds"`
}

// Rule is a federation rule.
type Rule struct {
	ID               string `json:"id"`
	ServiceAccountID string `json:"service_account_id"`
	// SubjectPrefix is the exact sub, or a prefix if it ends in *.
	SubjectPrefix string            `json:"subject_prefix"`
	Audience      string            `json:"audience"`
	Claims        map[string]string `json:"claims"`
	// WorkspaceIDs are the enabled workspaces; none means the default one.
	WorkspaceIDs         []string `json:"workspace_ids"`
	TokenLifetimeSeconds int64    `json:"token_lifetime_seconds"`
	Disabled             bool     `json:"disabled"`
}

func loadConfig(path string) (*Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	config := &Config{}
	if err := decoder.Decode(config); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return config, config.check()
}

// check fills in defaults and refuses what the vendor's Admin API would refuse.
func (c *Config) check() error {
	setDefault(&c.Listen, "127.0.0.1:0")
	setDefault(&c.AdminListen, "127.0.0.1:0")
	setDefault(&c.Generation, "newer")
	setDefault(&c.Issuer.MaxJWTLifetimeSeconds, 3600)
	setDefault(&c.Issuer.RefreshSeconds, 60)
	setDefault(&c.ShortestTokenSeconds, 60)
	if c.Issuer.CheckJTI == nil {
		yes := true
		c.Issuer.CheckJTI = &yes
	}
	switch {
	case c.Generation != "newer" && c.Generation != "older":
		return fmt.Errorf("generation: expected newer or older, found %q", c.Generation)
	case !uuidForm.MatchString(c.OrganizationID):
		return fmt.Errorf("organization_id: expected a UUID")
	case c.ShortestTokenSeconds < 1 || c.ShortestTokenSeconds > 60:
		return fmt.Errorf("shortest_token_seconds: expected 1 to 60")
	case c.Issuer.URL == "":
		return fmt.Errorf("issuer.url is missing")
	case c.Issuer.MaxJWTLifetimeSeconds < 1 || c.Issuer.MaxJWTLifetimeSeconds > 176400:
		return fmt.Errorf("issuer.max_jwt_lifetime_seconds: expected 1 to 176400")
	}
	for i := range c.Rules {
		if err := c.Rules[i].check(c.ShortestTokenSeconds); err != nil {
			return fmt.Errorf("rules[%d]: %w", i, err)
		}
	}
	return nil
}

func (r *Rule) check(shortestToken int64) error {
	setDefault(&r.TokenLifetimeSeconds, 3600)
	setDefault(&r.Audience, defaultAudience)
	if len(r.WorkspaceIDs) == 0 {
		r.WorkspaceIDs = []string{"default"}
	}
	switch {
	case !ruleIDForm.MatchString(r.ID):
		return fmt.Errorf("id: expected fdrl_...")
	case !serviceAccountIDForm.MatchString(r.ServiceAccountID):
		return fmt.Errorf("service_account_id: expected svac_...")
	case r.TokenLifetimeSeconds < shortestToken || r.TokenLifetimeSeconds > 86400:
		return fmt.Errorf("token_lifetime_seconds: expected %d to 86400", shortestToken)
	case (r.SubjectPrefix == "" || r.SubjectPrefix == "*") && len(r.Claims) == 0:
		return fmt.Errorf("a rule needs subject_prefix or claims; the audience alone is no match")
	}
	return nil
}

func (r *Rule) matchesSubject(subject string) bool {
	if prefix, ok := strings.CutSuffix(r.SubjectPrefix, "*"); ok {
		return strings.HasPrefix(subject, prefix)
	}
	return r.SubjectPrefix == "" || r.SubjectPrefix == subject
}

func setDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}
