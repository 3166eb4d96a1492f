package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault changes the next Count answers of one path.
type Fault struct {
	// Kind: slow (DelayMS, then normal), hang (until the client goes), status (Status, RetryAfter), html (Status,
	// default 200), large (200 with 10 MB), truncated (processed, half of the answer, then closed), reset (processed,
	// then the connection is reset).
	Kind       string `json:"kind"`
	Count      int    `json:"count"`
	Path       string `json:"path"`
	Status     int    `json:"status"`
	RetryAfter string `json:"retry_after"`
	DelayMS    int    `json:"delay_ms"`
}

const (
	largeBytes = 10 << 20
	hangLimit  = 10 * time.Minute
)

func (f *Fault) check() error {
	setDefault(&f.Count, 1)
	setDefault(&f.Path, "/v1/oauth/token")
	switch f.Kind {
	case "slow", "hang", "large", "truncated", "reset":
	case "status":
		if f.Status < 400 || f.Status > 599 {
			return fmt.Errorf("status: expected 400 to 599")
		}
	case "html":
		setDefault(&f.Status, http.StatusOK)
	default:
		return fmt.Errorf("kind: unknown %q", f.Kind)
	}
	return nil
}

// Faults is the queue that the admin side fills.
type Faults struct {
	mu    sync.Mutex
	queue []Fault
}

func (f *Faults) add(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, fault)
}

func (f *Faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = nil
}

func (f *Faults) next(path string) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.queue {
		if f.queue[i].Path != path {
			continue
		}
		fault := f.queue[i]
		if f.queue[i].Count--; f.queue[i].Count <= 0 {
			f.queue = append(f.queue[:i], f.queue[i+1:]...)
		}
		return &fault
	}
	return nil
}

// apply answers in place of, or around, the real handler.
func (f *Fault) apply(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	switch f.Kind {
	case "slow":
		if wait(r, time.Duration(f.DelayMS)*time.Millisecond) {
			handler.ServeHTTP(w, r)
		}
	case "hang":
		wait(r, hangLimit)
	case "status":
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		writeError(w, f.Status, errorTypeOf(f.Status), "injected by the test")
	case "html":
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(f.Status)
		fmt.Fprint(w, "<!doctype html><html><body>A page from something in between</body></html>")
	case "large":
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(largeBytes))
		for range largeBytes / 4096 {
			if _, err := w.Write([]byte(strings.Repeat(" ", 4096))); err != nil {
				return
			}
		}
	case "truncated", "reset":
		f.breakOff(w, r, handler)
	}
}

// breakOff lets the request take effect and then loses the answer, wholly or in part.
func (f *Fault) breakOff(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	recorder := httptest.NewRecorder()
	for name, values := range w.Header() {
		recorder.Header()[name] = values
	}
	handler.ServeHTTP(recorder, r)
	connection, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer connection.Close()
	if f.Kind == "reset" {
		if tcp, ok := connection.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		return
	}
	body := recorder.Body.Bytes()
	fmt.Fprintf(buffer, "HTTP/1.1 %d Broken\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		recorder.Code, len(body), body[:len(body)/2])
	buffer.Flush()
}

// wait is false if the client went away first.
func wait(r *http.Request, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
