package main

import (
	"fmt"
	"os"
)

// cpuTimes are what all processors did since the machine started, in ticks.
type cpuTimes struct{ all, idle, disk, stolen float64 }

func readCPU() (t cpuTimes, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t, err
	}
	var user, nice, kernel, irq, softirq float64
	if _, err := fmt.Sscanf(string(text), "cpu %f %f %f %f %f %f %f %f",
		&user, &nice, &kernel, &t.idle, &t.disk, &irq, &softirq, &t.stolen); err != nil {
		return t, fmt.Errorf("/proc/stat: %w", err)
	}
	t.all = user + nice + kernel + t.idle + t.disk + irq + softirq + t.stolen
	return t, nil
}

// cpuShares are what the processors did for some time, of 1.
type cpuShares struct{ idle, disk, stolen float64 }

func (t cpuTimes) since(before cpuTimes) cpuShares {
	all := max(1, t.all-before.all)
	return cpuShares{(t.idle - before.idle) / all, (t.disk - before.disk) / all, (t.stolen - before.stolen) / all}
}

// heldUp says what kept a way from being faster, which had a share of what its
// connections let through.
func (c cpuShares) heldUp(share float64) string {
	switch {
	case share >= enough:
		return "the connections"
	case c.idle+c.disk < 0.1:
		return fmt.Sprintf("the processors (%.0f %% idle)", 100*c.idle)
	case c.disk > 0.2:
		return fmt.Sprintf("the disk (%.0f %% waiting)", 100*c.disk)
	}
	return fmt.Sprintf("its own pauses (processors %.0f %% idle)", 100*c.idle)
}
