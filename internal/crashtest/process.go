// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"paddock/internal/config"
	"paddock/internal/server"
)

// configEnv names the zoo.cfg of a process that is to be a server.
const configEnv = "PADDOCK_CRASH_SERVER"

// Main makes this process a server if StartProcess has started it, and returns
// otherwise. TestMain calls it first.
func Main() {
	file := os.Getenv(configEnv)
	if file == "" {
		return
	}
	if err := serve(file); err != nil {
		fmt.Fprintln(os.Stderr, "paddock:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve is what `paddock server` does, with a free port that is printed.
func serve(file string) error {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	cfg, err := config.Load(config.Source{File: file, Flags: map[string]string{"clientPort": "0"}})
	if err != nil {
		return err
	}
	s, err := server.New(cfg, server.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	fmt.Println(s.ClientAddr())
	select {
	case err := <-s.Fatal():
		s.Close()
		return fmt.Errorf("stopped: %w", err)
	case <-term:
		return s.Close()
	}
}

// Process is a server in a process of its own.
type Process struct {
	Ready chan string // its address, once it serves; closed when its output ends
	cmd   *exec.Cmd
	log   *os.File
}

// StartProcess runs this program's binary as a server (see Main). What it logs
// is appended to logFile.
func StartProcess(configFile, logFile string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Process{Ready: make(chan string, 1), cmd: exec.Command(self)}
	if p.log, err = os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return nil, err
	}
	p.cmd.Env = append(os.Environ(), configEnv+"="+configFile)
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		p.log.Close()
		return nil, err
	}
	go func() {
		defer close(p.Ready)
		if line, err := bufio.NewReader(out).ReadString('\n'); err == nil {
			p.Ready <- strings.TrimSpace(line)
		}
	}()
	return p, nil
}

// Signal sends sig: os.Kill is the crash.
func (p *Process) Signal(sig os.Signal) { p.cmd.Process.Signal(sig) }

// Wait waits for the end and returns the exit status; -1 of a killed process.
func (p *Process) Wait() (int, error) {
	err := p.cmd.Wait()
	p.log.Close()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	return p.cmd.ProcessState.ExitCode(), err
}
