// SPDX-License-Identifier: Apache-2.0

// Command cmd replays simulated ensembles:
//
//	go run ./internal/sim/cmd sim -seed 0x51e2      one seed, with -v every event
//	go run ./internal/sim/cmd sim -fresh 1000       seeds nobody has tried
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"paddock/internal/sim"
)

func main() {
	if err := command(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func command(args []string, out io.Writer) error {
	if len(args) == 0 || args[0] != "sim" {
		return errors.New("usage: sim -seed N [-v] | sim -fresh N [-from N]")
	}
	f := flag.NewFlagSet("sim", flag.ContinueOnError)
	seed := f.Uint64("seed", 0, "replay this seed")
	from := f.Uint64("from", 0, "first of the fresh seeds; 0 picks one")
	fresh := f.Int("fresh", 0, "how many fresh seeds to try")
	verbose := f.Bool("v", false, "print every event")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if *fresh > 0 {
		if *from == 0 {
			*from = rand.Uint64() >> 16
		}
		return tryFresh(*from, *fresh, out)
	}
	var o sim.Options
	if *verbose {
		o.Trace = func(line string) { fmt.Fprintln(out, line) }
	}
	r := sim.Run(*seed, o)
	fmt.Fprintln(out, r.Setup)
	if r.Failure != nil {
		fmt.Fprint(out, r.Stack)
		return r.Failure
	}
	fmt.Fprintf(out, "seed %#x: %d steps, %d transactions, hash %016x\n", r.Seed, r.Steps, r.Writes, r.Hash)
	return nil
}

func tryFresh(from uint64, n int, out io.Writer) error {
	fmt.Fprintf(out, "seeds %#x to %#x\n", from, from+uint64(n)-1)
	bad, steps, writes := 0, 0, 0
	sim.Try(from, n, func(r sim.Result) {
		steps, writes = steps+r.Steps, writes+r.Writes
		if r.Failure != nil {
			fmt.Fprintln(out, r.Failure)
			bad++
		}
	})
	fmt.Fprintf(out, "%d steps, %d transactions\n", steps, writes)
	if bad > 0 {
		return fmt.Errorf("%d of %d seeds failed", bad, n)
	}
	return nil
}
