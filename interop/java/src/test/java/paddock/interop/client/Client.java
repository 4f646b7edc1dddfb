// SPDX-License-Identifier: Apache-2.0
package paddock.interop.client;

import java.nio.charset.StandardCharsets;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.function.Executable;
import paddock.interop.Server;
import paddock.interop.Wait;

/** The official client, connected, with the states its default watcher saw. */
final class Client extends ZooKeeper {
    static final int TIMEOUT_MS = 6000;
    private final States states;

    /** Counts the ways into a state. */
    static final class States implements Watcher {
        final CountDownLatch connected = new CountDownLatch(1);
        final BlockingQueue<KeeperState> seen = new LinkedBlockingQueue<>();

        @Override
        public void process(WatchedEvent e) {
            if (e.getType() == Event.EventType.None) {
                seen.add(e.getState());
                if (e.getState() == KeeperState.SyncConnected) {
                    connected.countDown();
                }
            }
        }
    }

    private Client(String address, int timeoutMs, States states) throws Exception {
        super(address, timeoutMs, states);
        this.states = states;
    }

    private Client(String address, int timeoutMs, States states, long id, byte[] password) throws Exception {
        super(address, timeoutMs, states, id, password);
        this.states = states;
    }

    static Client open(Server s) throws Exception {
        return open(s.address(), TIMEOUT_MS);
    }

    static Client open(String address, int timeoutMs) throws Exception {
        Client c = new Client(address, timeoutMs, new States());
        Assertions.assertTrue(c.states.connected.await(30, TimeUnit.SECONDS), "connected");
        return c;
    }

    /** Takes up an existing session; returns without waiting for the answer. */
    static Client resume(String address, int timeoutMs, long id, byte[] password) throws Exception {
        return new Client(address, timeoutMs, new States(), id, password);
    }

    /** Ends the connection without a word and for good: the server sees a client that vanished. */
    void cutOff() throws Exception {
        cnxn.disconnect();
    }

    void awaitState(KeeperState s) throws Exception {
        Wait.until("state " + s, () -> states.seen.contains(s));
    }

    void forgetStates() {
        states.seen.clear();
    }

    /** Whether the path exists; asked again while the connection is lost. */
    boolean existsAtLast(String path) throws Exception {
        Stat[] found = new Stat[1];
        Wait.until("an answer about " + path, () -> {
            try {
                found[0] = exists(path, false);
                return true;
            } catch (KeeperException.ConnectionLossException e) {
                return false;
            }
        });
        return found[0] != null;
    }

    String text(String path) throws Exception {
        return new String(getData(path, false, new Stat()), StandardCharsets.UTF_8);
    }

    static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    static KeeperException fails(KeeperException.Code code, Executable e) {
        KeeperException k = Assertions.assertThrows(KeeperException.class, e);
        Assertions.assertEquals(code, k.code());
        return k;
    }
}
