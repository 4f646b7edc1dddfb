// SPDX-License-Identifier: Apache-2.0
package paddock.interop.client;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.junit.jupiter.api.Assertions;

/** A watcher that keeps the node events it was told, in order. */
final class Events implements Watcher {
    private final BlockingQueue<WatchedEvent> queue = new LinkedBlockingQueue<>();

    @Override
    public void process(WatchedEvent e) {
        if (e.getType() != Event.EventType.None) {
            queue.add(e);
        }
    }

    void expect(Event.EventType type, String path) throws InterruptedException {
        WatchedEvent e = queue.poll(20, TimeUnit.SECONDS);
        Assertions.assertNotNull(e, "no event, wanted " + type + " " + path);
        Assertions.assertEquals(type + " " + path, e.getType() + " " + e.getPath());
    }

    /**
     * Asserts that nothing is left. The caller has just had an answer on the same connection, which
     * the server sends after every event that was due before it; the client's event thread is given
     * the time of one more event through {@code fence}.
     */
    void expectNone() {
        Assertions.assertNull(queue.peek());
    }
}
