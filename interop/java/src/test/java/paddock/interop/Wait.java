// SPDX-License-Identifier: Apache-2.0
package paddock.interop;

import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/** Waiting for a condition, with a deadline. */
public final class Wait {
    private Wait() {}

    public static void until(String what, Callable<Boolean> condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!condition.call()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("waited in vain for " + what);
            }
            TimeUnit.MILLISECONDS.sleep(10);
        }
    }
}
