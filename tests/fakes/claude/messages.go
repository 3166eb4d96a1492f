package main

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
)

// apiVersion is the form of every version the API ever had; which ones it serves today is not written down.
var apiVersion = regexp.MustCompile(`^20\d\d-\d\d-\d\d$`)

// handleMessages answers with the prompt it was given, for whoever holds a token minted here.
func (s *Server) handleMessages(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case r.Header.Get("X-Api-Key") != "":
		writeError(w, http.StatusUnauthorized, "authentication_error", "invalid x-api-key")
		return
	case !ok || !s.tokens.valid(token, s.now()):
		writeError(w, http.StatusUnauthorized, "authentication_error", "Invalid bearer token")
		return
	case !hasBeta(r, oauthBeta):
		writeError(w, http.StatusUnauthorized, "authentication_error", "OAuth authentication needs its beta header")
		return
	case !apiVersion.MatchString(r.Header.Get("anthropic-version")):
		writeError(w, http.StatusBadRequest, "invalid_request_error", "anthropic-version: header is required")
		return
	}
	request, problem := readMessagesRequest(r)
	if problem != "" {
		writeError(w, http.StatusBadRequest, "invalid_request_error", problem)
		return
	}
	text := "You said: " + request.prompt
	writeJSON(w, http.StatusOK, map[string]any{
		"id":            "msg_" + randomHex(12),
		"type":          "message",
		"role":          "assistant",
		"model":         request.Model,
		"content":       []any{map[string]any{"type": "text", "text": text}},
		"stop_reason":   "end_turn",
		"stop_sequence": nil,
		"usage":         map[string]any{"input_tokens": len(request.prompt)/4 + 1, "output_tokens": len(text)/4 + 1},
	})
}

type messagesRequest struct {
	Model     string `json:"model"`
	MaxTokens int    `json:"max_tokens"`
	Stream    bool   `json:"stream"`
	Messages  []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`

	// prompt is the text of the last message.
	prompt string
}

// readMessagesRequest returns what is wrong, "" if nothing is.
func readMessagesRequest(r *http.Request) (*messagesRequest, string) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return nil, "content-type: expected application/json"
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, "body: cut short"
	}
	request := &messagesRequest{}
	if err := json.Unmarshal(body, request); err != nil {
		return nil, "body: expected a JSON object of the Messages API"
	}
	switch {
	case request.Model == "":
		return nil, "model: Field required"
	case request.MaxTokens < 1:
		return nil, "max_tokens: expected at least 1"
	case request.Stream:
		return nil, "stream: this stand-in does not stream"
	case len(request.Messages) == 0:
		return nil, "messages: at least one message is required"
	}
	for _, message := range request.Messages {
		text, ok := contentText(message.Content)
		if !ok || (message.Role != "user" && message.Role != "assistant") {
			return nil, "messages: expected roles user and assistant with text"
		}
		request.prompt = text
	}
	return request, ""
}

// contentText reads a message's content: a string or a list of text blocks.
func contentText(raw json.RawMessage) (string, bool) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, true
	}
	var blocks []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if json.Unmarshal(raw, &blocks) != nil {
		return "", false
	}
	var texts []string
	for _, block := range blocks {
		if block.Type != "text" {
			return "", false
		}
		texts = append(texts, block.Text)
	}
	return strings.Join(texts, "\n"), len(texts) > 0
}
