// SPDX-License-Identifier: Apache-2.0
package paddock.interop.curator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.api.transaction.OperationType;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.SharedCountListener;
import org.apache.curator.framework.recipes.shared.SharedCountReader;
import org.apache.curator.framework.recipes.shared.VersionedValue;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.apache.curator.x.async.AsyncCuratorFramework;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.junit.jupiter.api.Test;
import paddock.interop.Wait;

/** Counters, queues, transactions, groups and service discovery. */
class SharedTest extends Base {
    @Test
    void atomicLongLosesNothing() throws Exception {
        List<Future<Void>> all = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            CuratorFramework c = client();
            all.add(async(() -> {
                DistributedAtomicLong n = new DistributedAtomicLong(c, root, new RetryNTimes(200, 2));
                for (int k = 0; k < 25; k++) {
                    AtomicValue<Long> v = n.increment();
                    assertTrue(v.succeeded());
                    assertEquals(v.preValue() + 1, v.postValue());
                }
                return null;
            }));
        }
        for (Future<Void> f : all) {
            f.get(60, TimeUnit.SECONDS);
        }
        DistributedAtomicLong n = new DistributedAtomicLong(client(), root, new RetryNTimes(5, 1));
        assertEquals(100, n.get().postValue());
        assertFalse(n.compareAndSet(7L, 8L).succeeded());
        assertTrue(n.compareAndSet(100L, 8L).succeeded());
    }

    @Test
    void sharedCountTellsItsListeners() throws Exception {
        SharedCount a = new SharedCount(client(), root, 3);
        SharedCount b = new SharedCount(client(), root, 3);
        BlockingQueue<Integer> heard = new LinkedBlockingQueue<>();
        b.addListener(new SharedCountListener() {
            @Override
            public void countHasChanged(SharedCountReader r, int n) {
                heard.add(n);
            }

            @Override
            public void stateChanged(CuratorFramework c, ConnectionState s) {}
        });
        a.start();
        b.start();
        assertEquals(3, b.getCount());
        VersionedValue<Integer> old = a.getVersionedValue();
        a.setCount(10);
        assertEquals(10, heard.poll(WAIT, TimeUnit.SECONDS));
        assertTrue(b.trySetCount(b.getVersionedValue(), 11));
        Wait.until("11", () -> a.getCount() == 11);
        assertFalse(a.trySetCount(old, 12));
        a.close();
        b.close();
    }

    @Test
    void queueGivesEachItemOnceInOrder() throws Exception {
        SimpleDistributedQueue in = new SimpleDistributedQueue(client(), root);
        for (int i = 0; i < 40; i++) {
            assertTrue(in.offer(("item" + i).getBytes()));
        }
        assertEquals("item0", new String(in.peek()));
        BlockingQueue<String> got = new LinkedBlockingQueue<>();
        List<Future<Void>> all = new ArrayList<>();
        for (int k = 0; k < 3; k++) {
            SimpleDistributedQueue out = new SimpleDistributedQueue(client(), root);
            all.add(async(() -> {
                String last = "";
                byte[] b;
                while ((b = out.poll(1, TimeUnit.SECONDS)) != null) {
                    String s = new String(b);
                    assertTrue(last.isEmpty() || number(last) < number(s), last + " before " + s);
                    last = s;
                    got.add(s);
                }
                return null;
            }));
        }
        for (Future<Void> f : all) {
            f.get(60, TimeUnit.SECONDS);
        }
        assertEquals(40, got.size());
        assertEquals(40, got.stream().distinct().count());
        assertNull(in.poll());
    }

    private static int number(String item) {
        return Integer.parseInt(item.substring("item".length()));
    }

    @Test
    void transactions() throws Exception {
        CuratorFramework c = client();
        c.create().forPath(root);
        List<CuratorTransactionResult> r = c.transaction().forOperations(
                c.transactionOp().create().forPath(root + "/a", "1".getBytes()),
                c.transactionOp().setData().withVersion(0).forPath(root + "/a", "2".getBytes()),
                c.transactionOp().check().withVersion(1).forPath(root + "/a"),
                c.transactionOp().create().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath(root + "/s"));
        assertEquals(4, r.size());
        assertEquals(OperationType.SET_DATA, r.get(1).getType());
        assertEquals(1, r.get(1).getResultStat().getVersion());
        assertEquals(root + "/s0000000001", r.get(3).getResultPath());
        assertThrows(KeeperException.BadVersionException.class, () -> c.transaction().forOperations(
                c.transactionOp().delete().forPath(root + "/a"),
                c.transactionOp().check().withVersion(77).forPath(root)));
        assertEquals("2", new String(c.getData().forPath(root + "/a")));
    }

    @Test
    void frameworkOperations() throws Exception {
        CuratorFramework c = client();
        String p = c.create().creatingParentContainersIfNeeded().withProtection()
                .withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath(root + "/x/y-", new byte[] {1});
        assertTrue(p.startsWith(root + "/x/_c_") && p.endsWith("-0000000000"), p);
        c.delete().guaranteed().forPath(p);
        Wait.until("removal of the containers", () -> c.checkExists().forPath(root) == null);
        c.createContainers(root + "/c");
        c.create().orSetData().forPath(root + "/c/d", new byte[] {1});
        c.create().orSetData().forPath(root + "/c/d", new byte[] {2});
        assertEquals(2, c.getData().forPath(root + "/c/d")[0]);
        assertEquals(1, c.getChildren().forPath(root + "/c").size());
        c.delete().deletingChildrenIfNeeded().forPath(root + "/c");
        CuratorFramework ns = c.usingNamespace("space");
        ns.create().forPath("/in");
        assertTrue(c.checkExists().forPath("/space/in") != null);
    }

    @Test
    void asyncFramework() throws Exception {
        AsyncCuratorFramework c = AsyncCuratorFramework.wrap(client());
        String data = c.create().forPath(root, "x".getBytes())
                .thenCompose(path -> c.setData().forPath(path, "y".getBytes()))
                .thenCompose(stat -> c.getData().forPath(root))
                .thenApply(String::new)
                .toCompletableFuture().get(WAIT, TimeUnit.SECONDS);
        assertEquals("y", data);
        Future<?> event = c.watched().checkExists().forPath(root + "/later").event().toCompletableFuture();
        c.create().forPath(root + "/later").toCompletableFuture().get(WAIT, TimeUnit.SECONDS);
        event.get(WAIT, TimeUnit.SECONDS);
    }

    @Test
    void groupMembership() throws Exception {
        CuratorFramework first = client();
        GroupMember a = new GroupMember(first, root, "a", "1".getBytes());
        GroupMember b = new GroupMember(client(), root, "b", "2".getBytes());
        a.start();
        b.start();
        Wait.until("both", () -> b.getCurrentMembers().size() == 2);
        assertEquals("1", new String(b.getCurrentMembers().get("a")));
        a.close();
        first.close();
        Wait.until("one", () -> b.getCurrentMembers().size() == 1);
        b.close();
    }

    @Test
    void serviceDiscovery() throws Exception {
        CuratorFramework provider = client();
        ServiceInstance<Void> one = ServiceInstance.<Void>builder().name("web").address("10.0.0.1").port(80).build();
        ServiceInstance<Void> two = ServiceInstance.<Void>builder().name("web").address("10.0.0.2").port(80).build();
        ServiceDiscovery<Void> offer = ServiceDiscoveryBuilder.builder(Void.class)
                .client(provider).basePath(root).thisInstance(one).build();
        offer.start();
        ServiceDiscovery<Void> find = ServiceDiscoveryBuilder.builder(Void.class).client(client()).basePath(root).build();
        find.start();
        Wait.until("one instance", () -> find.queryForInstances("web").size() == 1);
        ServiceCache<Void> cache = find.serviceCacheBuilder().name("web").build();
        cache.start();
        offer.registerService(two);
        Wait.until("two instances", () -> cache.getInstances().size() == 2);
        assertEquals(two, find.queryForInstance("web", two.getId()));
        offer.unregisterService(two);
        Wait.until("one again", () -> cache.getInstances().size() == 1);
        offer.close();
        Wait.until("none", () -> cache.getInstances().isEmpty());
        cache.close();
        find.close();
    }
}
