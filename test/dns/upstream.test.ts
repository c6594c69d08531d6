// resolv.conf: what the host has, and what a sandbox gets.

import t from 'tap'
import {
  formatUpstream,
  parseResolvConf,
  parseUpstream,
  sandboxResolvConf,
  usableUpstreams,
} from '../../src/dns/upstream.ts'

t.test('what is read of it', async (t) => {
  const text = `# made by somebody
domain old.example
search a.example b.example  # the last one counts
nameserver 192.0.2.1
 nameserver\t192.0.2.2 ; the second
nameserver 2001:db8::53
nameserver fe80::1%eth0
nameserver resolver.example
options ndots:5 timeout:1
`
  t.same(parseResolvConf(text), {
    nameservers: ['192.0.2.1', '192.0.2.2', '2001:db8::53'],
    search: ['a.example', 'b.example'],
  })
  t.same(parseResolvConf(''), { nameservers: [], search: [] })
  t.same(parseResolvConf('search ok.example bad/name x\u0000y').search, ['ok.example'])
  t.same(parseResolvConf('search .').search, ['.'], 'none, as systemd-resolved writes it')
})

t.test('what a sandbox gets', async (t) => {
  t.equal(
    sandboxResolvConf({ search: ['a.example', 'b.example'] }),
    'search a.example b.example\nnameserver 127.0.0.11\noptions ndots:0\n',
  )
  t.equal(sandboxResolvConf({ search: [] }), 'nameserver 127.0.0.11\noptions ndots:0\n')
})

t.test('upstreams', async (t) => {
  for (const text of ['192.0.2.1', '192.0.2.1:5353', '2001:db8::53', '[2001:db8::53]:5353']) {
    t.equal(formatUpstream(parseUpstream(text)), text)
  }
  for (const text of ['resolver.example', '192.0.2.1:0', '192.0.2.1:65536', '', '[::1']) {
    t.throws(() => parseUpstream(text), { code: 'invalid_argument' }, text)
  }
  const listed = [
    '127.0.0.11',
    '192.0.2.1',
    '192.0.2.1',
    '192.0.2.9',
    '192.0.2.2',
    '192.0.2.3',
    '192.0.2.4',
  ]
  t.same(
    usableUpstreams(listed.map(parseUpstream), ({ address }) => address === '192.0.2.9').map(
      formatUpstream,
    ),
    ['192.0.2.1', '192.0.2.2', '192.0.2.3'],
    'no doubles, none of our own, three at most',
  )
})
