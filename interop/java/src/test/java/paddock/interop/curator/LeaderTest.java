// SPDX-License-Identifier: Apache-2.0
package paddock.interop.curator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.leader.Participant;
import org.apache.curator.framework.state.ConnectionState;
import org.junit.jupiter.api.Test;
import paddock.interop.Server;
import paddock.interop.Wait;

/** Election of a leader, and its end. */
class LeaderTest extends Base {
    private static long leaders(List<LeaderLatch> all) {
        return all.stream().filter(LeaderLatch::hasLeadership).count();
    }

    @Test
    void latchPassesOn() throws Exception {
        List<LeaderLatch> all = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            LeaderLatch l = new LeaderLatch(client(), root, "id" + i);
            l.start();
            all.add(l);
        }
        while (!all.isEmpty()) {
            Wait.until("one leader", () -> leaders(all) == 1);
            Wait.until("all to take part", () -> all.get(0).getParticipants().size() == all.size());
            LeaderLatch leader = all.stream().filter(LeaderLatch::hasLeadership).findFirst().orElseThrow();
            Participant p = all.get(0).getLeader();
            assertEquals(leader.getId(), p.getId());
            all.remove(leader);
            leader.close();
        }
    }

    @Test
    void latchSurvivesARestartOfTheServer() throws Exception {
        LeaderLatch l = new LeaderLatch(client(), root, "only");
        l.start();
        assertTrue(l.await(WAIT, TimeUnit.SECONDS));
        server.stop();
        Wait.until("leadership to be in doubt", () -> !l.hasLeadership());
        server.start();
        assertTrue(l.await(WAIT, TimeUnit.SECONDS));
        l.close();
    }

    @Test
    void selectorTakesTurns() throws Exception {
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        CountDownLatch turns = new CountDownLatch(12);
        List<LeaderSelector> all = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            LeaderSelector s = new LeaderSelector(client(), root, new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework c) {
                    most.accumulateAndGet(inside.incrementAndGet(), Math::max);
                    turns.countDown();
                    inside.decrementAndGet();
                }
            });
            s.autoRequeue();
            s.start();
            all.add(s);
        }
        assertTrue(turns.await(WAIT, TimeUnit.SECONDS));
        assertEquals(1, most.get());
        all.forEach(LeaderSelector::close);
    }

    @Test
    void expiredSessionIsReplaced() throws Exception {
        try (Server own = Server.start("curator-lost", "")) {
            CuratorFramework c = org.apache.curator.framework.CuratorFrameworkFactory.newClient(
                    own.address(), 1500, 5000, new org.apache.curator.retry.RetryForever(100));
            List<ConnectionState> states = java.util.Collections.synchronizedList(new ArrayList<>());
            c.getConnectionStateListenable().addListener((f, s) -> states.add(s));
            c.start();
            assertTrue(c.blockUntilConnected(WAIT, TimeUnit.SECONDS));
            LeaderLatch l = new LeaderLatch(c, "/latch");
            l.start();
            assertTrue(l.await(WAIT, TimeUnit.SECONDS));
            long id = c.getZookeeperClient().getZooKeeper().getSessionId();
            own.stop();
            Wait.until("LOST", () -> states.contains(ConnectionState.LOST));
            own.start();
            Wait.until("RECONNECTED", () -> states.contains(ConnectionState.RECONNECTED));
            Wait.until("leadership in a new session", l::hasLeadership);
            assertTrue(c.getZookeeperClient().getZooKeeper().getSessionId() != id);
            l.close();
            c.close();
        }
    }
}
