// Command claude is a strict stand-in for the Claude API, for tests: workload identity federation at
// POST /v1/oauth/token and an echo at POST /v1/messages. It refuses what the vendor documents that it refuses.
//
//	claude -config claude.json
//
// It prints one line of JSON with the addresses when it is ready, and ends on SIGTERM.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	path := flag.String("config", "", "JSON configuration file")
	flag.Parse()
	if err := run(*path); err != nil {
		fmt.Fprintln(os.Stderr, "claude:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	config, err := loadConfig(path)
	if err != nil {
		return err
	}
	api, err := net.Listen("tcp", config.Listen)
	if err != nil {
		return err
	}
	admin, err := net.Listen("tcp", config.AdminListen)
	if err != nil {
		return err
	}
	server := newServer(config, time.Now)
	apiServer := &http.Server{Handler: server.api(), ReadHeaderTimeout: 10 * time.Second}
	adminServer := &http.Server{Handler: server.admin(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 2)
	scheme := "http"
	if config.TLSCert != "" {
		scheme = "https"
		go func() { failed <- apiServer.ServeTLS(api, config.TLSCert, config.TLSKey) }()
	} else {
		go func() { failed <- apiServer.Serve(api) }()
	}
	go func() { failed <- adminServer.Serve(admin) }()
	json.NewEncoder(os.Stdout).Encode(map[string]string{
		"api":   scheme + "://" + api.Addr().String(),
		"admin": "http://" + admin.Addr().String(),
	})

	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	select {
	case err := <-failed:
		return err
	case <-stop.Done():
		apiServer.Close()
		return adminServer.Close()
	}
}
