package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

func (o options) dial() (*grpc.ClientConn, error) {
	return grpc.NewClient("unix://"+o.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

func withHeader(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "workload.spiffe.io", "true")
}

// firstSVID opens the X.509 stream on a new connection and returns it after its first message.
func (o options) firstSVID(ctx context.Context) (*grpc.ClientConn, error) {
	conn, err := o.dial()
	if err != nil {
		return nil, err
	}
	stream, err := workload.NewSpiffeWorkloadAPIClient(conn).FetchX509SVID(withHeader(ctx), &workload.X509SVIDRequest{})
	if err == nil {
		var answer *workload.X509SVIDResponse
		if answer, err = stream.Recv(); err == nil && len(answer.Svids) == 0 {
			err = errors.New("empty answer")
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// together runs `count` times `work` in one instant and returns how many succeeded and the refusals by code and text.
func together(count int, work func() error) (int, map[string]int) {
	var wait sync.WaitGroup
	var mutex sync.Mutex
	start := make(chan struct{})
	served, refused := 0, map[string]int{}
	for range count {
		wait.Go(func() {
			<-start
			err := work()
			mutex.Lock()
			defer mutex.Unlock()
			if err == nil {
				served++
			} else {
				refused[fmt.Sprintf("%s: %s", status.Code(err), status.Convert(err).Message())]++
			}
		})
	}
	close(start)
	wait.Wait()
	return served, refused
}

func runBurst(o options) (any, error) {
	begin := time.Now()
	served, refused := together(o.count, func() error {
		ctx, cancel := o.context()
		defer cancel()
		conn, err := o.firstSVID(ctx)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	return map[string]any{
		"served": served, "refused": o.count - served, "refusals": refused,
		"seconds": time.Since(begin).Seconds(), "rss_kb": residentKB(o.pid), "peak_kb": memoryKB(o.pid, "VmHWM:"),
	}, nil
}

func runHold(o options) (any, error) {
	before := residentKB(o.pid)
	conns := make([]*grpc.ClientConn, 0, o.count)
	for i := range o.count {
		conn, err := o.heldConnection()
		if err != nil {
			return nil, fmt.Errorf("stream %d: %w", i+1, err)
		}
		conns = append(conns, conn)
	}
	time.Sleep(500 * time.Millisecond)
	printJSON(map[string]any{"held": len(conns), "rss_before_kb": before, "rss_kb": residentKB(o.pid)})
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return nil, err
	}
	for _, conn := range conns {
		conn.Close()
	}
	return nil, nil
}

// heldConnection is firstSVID with a stream that outlives the call; only the wait for the first message is bounded.
func (o options) heldConnection() (*grpc.ClientConn, error) {
	ctx, cancel := context.WithCancel(context.Background())
	timer := time.AfterFunc(o.timeout, cancel)
	conn, err := o.firstSVID(ctx)
	if !timer.Stop() && err == nil {
		return nil, errors.New("first message came too late")
	}
	if err != nil {
		cancel()
	}
	return conn, err
}

func runBenchJWT(o options) (any, error) {
	conns := make([]workload.SpiffeWorkloadAPIClient, o.callers)
	request := &workload.JWTSVIDRequest{Audience: []string{o.audience}}
	for i := range conns {
		conn, err := o.dial()
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		conns[i] = workload.NewSpiffeWorkloadAPIClient(conn)
		ctx, cancel := o.context()
		_, err = conns[i].FetchJWTSVID(withHeader(ctx), request)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("warm up: %w", err)
		}
	}
	return o.measure(func(caller int) error {
		ctx, cancel := o.context()
		defer cancel()
		_, err := conns[caller].FetchJWTSVID(withHeader(ctx), request)
		return err
	})
}

func runBenchX509(o options) (any, error) {
	return o.measure(func(int) error {
		ctx, cancel := o.context()
		defer cancel()
		conn, err := o.firstSVID(ctx)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// rawCodec hands message bytes through; the credential API has no generated Go stubs here.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (rawCodec) Name() string { return "proto" }

func runBenchCredential(o options) (any, error) {
	conn, err := o.dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	request := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), o.destination)
	get := func(int) error {
		ctx, cancel := o.context()
		defer cancel()
		var answer []byte
		return conn.Invoke(withHeader(ctx), "/credence.credential.v1.CredentialAPI/GetCredential", &request, &answer, grpc.ForceCodec(rawCodec{}))
	}
	if err := get(0); err != nil {
		return nil, fmt.Errorf("warm up: %w", err)
	}
	return o.measure(get)
}

// measure makes o.count calls with o.callers callers and reports latencies and the CPU of o.pid per call.
func (o options) measure(call func(caller int) error) (any, error) {
	var wait sync.WaitGroup
	times := make([][]time.Duration, o.callers)
	failures := make([]error, o.callers)
	cpu, begin := cpuMicros(o.pid), time.Now()
	for caller := range o.callers {
		wait.Go(func() {
			for range o.count / o.callers {
				start := time.Now()
				if err := call(caller); err != nil {
					failures[caller] = err
					return
				}
				times[caller] = append(times[caller], time.Since(start))
			}
		})
	}
	wait.Wait()
	elapsed, spent := time.Since(begin), cpuMicros(o.pid)-cpu
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	all := []time.Duration{}
	for _, list := range times {
		all = append(all, list...)
	}
	if len(all) == 0 {
		return nil, errors.New("-count is less than -callers")
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	return map[string]any{
		"calls": len(all), "seconds": elapsed.Seconds(), "cpu_us": float64(spent) / float64(len(all)),
		"p50_us": all[len(all)/2].Microseconds(), "p99_us": all[len(all)*99/100].Microseconds(), "rss_kb": residentKB(o.pid),
	}, nil
}

// cpuMicros is utime + stime of `pid` from /proc; the kernel counts in hundredths of a second. 0 without a pid.
func cpuMicros(pid int) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return (user + system) * 10000
}

func residentKB(pid int) int { return memoryKB(pid, "VmRSS:") }

func memoryKB(pid int, name string) int {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name); found {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb
		}
	}
	return 0
}
