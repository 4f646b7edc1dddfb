// SPDX-License-Identifier: Apache-2.0

//go:build goldenserver

package golden

import (
	"sync"
	"testing"

	"paddock/internal/config"
	"paddock/internal/server"
)

// runPaddock starts the server of this module in this process.
func (s *target) runPaddock(t testing.TB) {
	t.Helper()
	env := map[string]string{"SERVER_JVMFLAGS": s.jvm}
	cfg, err := config.Load(config.Source{File: s.cfg(), Env: func(name string) string { return env[name] }})
	must(t, err)
	srv, err := server.New(cfg, server.Options{})
	must(t, err)
	s.addr = srv.ClientAddr().String()
	var once sync.Once
	s.stop = func(t testing.TB) {
		once.Do(func() {
			if err := srv.Close(); err != nil {
				t.Errorf("server: %v", err)
			}
		})
	}
}
