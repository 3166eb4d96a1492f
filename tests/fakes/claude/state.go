package main

import (
	"sync"
	"time"
)

const maxHistory = 10000

// Attempt is one exchange as the admin side shows it.
type Attempt struct {
	Time time.Time `json:"time"`
	// Outcome is "granted" or the reason of the refusal.
	Outcome         string `json:"outcome"`
	JTI             string `json:"jti"`
	AssertionSHA256 string `json:"assertion_sha256"`
	Subject         string `json:"sub"`
	RequestID       string `json:"request_id"`
}

// History keeps the latest attempts.
type History struct {
	mu       sync.Mutex
	attempts []Attempt
}

func (h *History) add(attempt Attempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.attempts = append(h.attempts, attempt)
	if len(h.attempts) > maxHistory {
		h.attempts = h.attempts[1:]
	}
}

func (h *History) list() []Attempt {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Attempt{}, h.attempts...)
}

// Rules can be switched off and on while the server runs.
type Rules struct {
	mu    sync.Mutex
	rules []Rule
}

// find returns a copy; nil if there is no such rule.
func (r *Rules) find(id string) *Rule {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.rules {
		if r.rules[i].ID == id {
			rule := r.rules[i]
			return &rule
		}
	}
	return nil
}

func (r *Rules) setDisabled(id string, disabled bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.rules {
		if r.rules[i].ID == id {
			r.rules[i].Disabled = disabled
			return true
		}
	}
	return false
}

// Tokens knows the access tokens that were minted and the jti values that are spent.
type Tokens struct {
	mu      sync.Mutex
	expires map[string]time.Time
	spent   map[string]bool
}

func newTokens() *Tokens {
	return &Tokens{expires: map[string]time.Time{}, spent: map[string]bool{}}
}

func (t *Tokens) add(token string, expires time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expires[token] = expires
}

func (t *Tokens) valid(token string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	expires, ok := t.expires[token]
	return ok && now.Before(expires)
}

// spend is false if the jti was spent before.
func (t *Tokens) spend(jti string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spent[jti] {
		return false
	}
	t.spent[jti] = true
	return true
}
