// SPDX-License-Identifier: Apache-2.0
package paddock.interop.curator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.junit.jupiter.api.Test;
import paddock.interop.Wait;

/** Locks, semaphores and barriers. */
class LockTest extends Base {
    @Test
    void mutexExcludes() throws Exception {
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        int[] unguarded = {0};
        List<Future<Void>> all = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            CuratorFramework c = client();
            all.add(async(() -> {
                InterProcessMutex m = new InterProcessMutex(c, root);
                for (int k = 0; k < 10; k++) {
                    assertTrue(m.acquire(WAIT * 2, TimeUnit.SECONDS));
                    m.acquire(); // by the same thread, again
                    most.accumulateAndGet(inside.incrementAndGet(), Math::max);
                    unguarded[0]++;
                    inside.decrementAndGet();
                    m.release();
                    m.release();
                }
                return null;
            }));
        }
        for (Future<Void> f : all) {
            f.get(60, TimeUnit.SECONDS);
        }
        assertEquals(1, most.get());
        assertEquals(50, unguarded[0]);
    }

    @Test
    void mutexPassesOnWhenItsHolderIsGone() throws Exception {
        CuratorFramework a = client(1000);
        InterProcessMutex first = new InterProcessMutex(a, root);
        first.acquire();
        InterProcessMutex second = new InterProcessMutex(client(), root);
        assertFalse(second.acquire(300, TimeUnit.MILLISECONDS));
        Future<Boolean> waiting = async(() -> second.acquire(WAIT, TimeUnit.SECONDS));
        a.close();
        assertTrue(waiting.get(WAIT, TimeUnit.SECONDS));
    }

    @Test
    void revocation() throws Exception {
        InterProcessMutex m = new InterProcessMutex(client(), root);
        CountDownLatch asked = new CountDownLatch(1);
        m.makeRevocable(lock -> asked.countDown());
        m.acquire();
        CuratorFramework b = client();
        String node = new InterProcessMutex(b, root).getParticipantNodes().iterator().next();
        org.apache.curator.framework.recipes.locks.Revoker.attemptRevoke(b, node);
        assertTrue(asked.await(WAIT, TimeUnit.SECONDS));
        m.release();
    }

    @Test
    void readersShareAndWritersExclude() throws Exception {
        InterProcessReadWriteLock a = new InterProcessReadWriteLock(client(), root);
        InterProcessReadWriteLock b = new InterProcessReadWriteLock(client(), root);
        a.readLock().acquire();
        assertTrue(b.readLock().acquire(WAIT, TimeUnit.SECONDS));
        b.readLock().release();
        assertFalse(b.writeLock().acquire(300, TimeUnit.MILLISECONDS));
        a.readLock().release();
        assertTrue(b.writeLock().acquire(WAIT, TimeUnit.SECONDS));
        assertFalse(a.readLock().acquire(300, TimeUnit.MILLISECONDS));
        assertTrue(b.readLock().acquire(1, TimeUnit.SECONDS)); // downgrade
        b.writeLock().release();
        assertTrue(a.readLock().acquire(WAIT, TimeUnit.SECONDS));
        a.readLock().release();
        b.readLock().release();
    }

    @Test
    void semaphoreCounts() throws Exception {
        InterProcessSemaphoreV2 a = new InterProcessSemaphoreV2(client(), root, 3);
        InterProcessSemaphoreV2 b = new InterProcessSemaphoreV2(client(), root, 3);
        List<Lease> leases = new ArrayList<>(a.acquire(2));
        Lease third = b.acquire(WAIT, TimeUnit.SECONDS);
        assertNotNull(third);
        assertNull(b.acquire(300, TimeUnit.MILLISECONDS));
        assertEquals(3, b.getParticipantNodes().size());
        a.returnLease(leases.remove(0));
        Lease again = b.acquire(WAIT, TimeUnit.SECONDS);
        assertNotNull(again);
        b.returnLease(third);
        b.returnLease(again);
        a.returnAll(leases);
    }

    @Test
    void semaphoreMutexAndMultiLock() throws Exception {
        CuratorFramework c = client();
        InterProcessSemaphoreMutex m = new InterProcessSemaphoreMutex(c, root + "/m");
        InterProcessMultiLock multi = new InterProcessMultiLock(c, List.of(root + "/m1", root + "/m2"));
        m.acquire();
        InterProcessSemaphoreMutex other = new InterProcessSemaphoreMutex(client(), root + "/m");
        assertFalse(other.acquire(300, TimeUnit.MILLISECONDS));
        m.release();
        assertTrue(other.acquire(WAIT, TimeUnit.SECONDS));
        other.release();
        multi.acquire();
        assertFalse(new InterProcessMutex(client(), root + "/m2").acquire(300, TimeUnit.MILLISECONDS));
        multi.release();
    }

    @Test
    void barrierHolds() throws Exception {
        DistributedBarrier a = new DistributedBarrier(client(), root);
        a.setBarrier();
        DistributedBarrier b = new DistributedBarrier(client(), root);
        assertFalse(b.waitOnBarrier(300, TimeUnit.MILLISECONDS));
        Future<Boolean> waiting = async(() -> b.waitOnBarrier(WAIT, TimeUnit.SECONDS));
        a.removeBarrier();
        assertTrue(waiting.get(WAIT, TimeUnit.SECONDS));
    }

    @Test
    void doubleBarrierMeetsTwice() throws Exception {
        int n = 4;
        AtomicInteger entered = new AtomicInteger();
        CountDownLatch leave = new CountDownLatch(1);
        List<Future<Integer>> all = new ArrayList<>();
        for (int i = 0; i < n; i++) {
            CuratorFramework c = client();
            all.add(async(() -> {
                DistributedDoubleBarrier b = new DistributedDoubleBarrier(c, root, n);
                assertTrue(b.enter(WAIT, TimeUnit.SECONDS));
                entered.incrementAndGet();
                leave.await();
                assertTrue(b.leave(WAIT, TimeUnit.SECONDS));
                return entered.get();
            }));
        }
        Wait.until("all to enter", () -> entered.get() == n);
        leave.countDown();
        for (Future<Integer> f : all) {
            assertEquals(n, f.get(WAIT, TimeUnit.SECONDS));
        }
    }
}
