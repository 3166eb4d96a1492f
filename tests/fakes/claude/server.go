package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"
)

// Server is the stand-in: the vendor's API on one handler, the test's controls on another.
type Server struct {
	config  *Config
	issuer  *Issuer
	rules   *Rules
	tokens  *Tokens
	history *History
	faults  *Faults
	now     func() time.Time
}

func newServer(config *Config, now func() time.Time) *Server {
	return &Server{
		config:  config,
		issuer:  newIssuer(config.Issuer, now),
		rules:   &Rules{rules: config.Rules},
		tokens:  newTokens(),
		history: &History{},
		faults:  &Faults{},
		now:     now,
	}
}

// api serves what the vendor serves.
func (s *Server) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/oauth/token", postOnly(s.handleExchange))
	mux.HandleFunc("/v1/messages", postOnly(s.handleMessages))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusNotFound, "not_found_error", "Not found")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("request-id", "req_"+randomHex(12))
		if fault := s.faults.next(r.URL.Path); fault != nil {
			fault.apply(w, r, mux)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// admin serves the test: GET /history, POST and DELETE /faults, POST /rules/{id}/disable and /enable.
func (s *Server) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /history", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.history.list())
	})
	mux.HandleFunc("POST /faults", func(w http.ResponseWriter, r *http.Request) {
		var fault Fault
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&fault)
		if err == nil {
			err = fault.check()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.faults.add(fault)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		s.faults.clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /rules/{id}/{verb}", func(w http.ResponseWriter, r *http.Request) {
		verb := r.PathValue("verb")
		if (verb != "disable" && verb != "enable") || !s.rules.setDisabled(r.PathValue("id"), verb == "disable") {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func postOnly(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			writeError(w, http.StatusMethodNotAllowed, "invalid_request_error", "Method Not Allowed")
			return
		}
		handler(w, r)
	}
}

// refuseMalformed names what is wrong with the form of an exchange request.
func (s *Server) refuseMalformed(w http.ResponseWriter, message string) {
	if s.config.Generation == "older" {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_request", "error_description": message})
		return
	}
	writeError(w, http.StatusBadRequest, "invalid_request_error", message)
}

// refuseOpaquely tells nothing about why.
func (s *Server) refuseOpaquely(w http.ResponseWriter) {
	if s.config.Generation == "older" {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant", "error_description": "Authentication failed"})
		return
	}
	writeError(w, http.StatusUnauthorized, "authentication_error", "Authentication failed")
}

func writeError(w http.ResponseWriter, status int, kind, message string) {
	writeJSON(w, status, map[string]any{
		"type":       "error",
		"error":      map[string]any{"type": kind, "message": message},
		"request_id": w.Header().Get("request-id"),
	})
}

func errorTypeOf(status int) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status == 529:
		return "overloaded_error"
	case status >= 500:
		return "api_error"
	}
	return "invalid_request_error"
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func randomHex(size int) string {
	random := make([]byte, size)
	rand.Read(random)
	return hex.EncodeToString(random)
}
