//! What a load finds with the memory of the last one is what it would find without.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use super::{HTTPS, Site, authority};
use crate::config::{Former, Loaded, Memory, Problems, reload};
use crate::deployment::Tenant;
use crate::devices::Removals;

const STEPS: usize = 150;
const TENANTS: usize = 5;

/// Xorshift64: the same steps each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

/// A server that reloads, as far as the configuration knows.
#[derive(Default)]
struct Served {
    tenants: Vec<Arc<Tenant>>,
    memory: Memory,
}

fn remove(site: &Site, name: &str) {
    let path = site.path(name);
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

fn tenant(dice: &mut Dice, number: usize) -> String {
    let name = if dice.roll(15) == 0 { "t0".to_owned() } else { format!("t{number}") };
    let root = if dice.roll(12) == 0 { dice.roll(TENANTS) } else { number };
    let root = format!("../files/{}", dice.pick(&["t", "t", "t", "common/t"])) + &root.to_string();
    let network = dice.pick(&["", "", "network.vrf = \"no-such\"\n", "network.namespace = \"no-such\"\n"]);
    let devices = [
        "",
        "devices.policy = \"any\"\n",
        "devices.file = \"../devices.csv\"\n",
        "",
        "",
        "",
        "nonsense = 1\n",
        "= broken\n",
    ];
    let users = ["", "", "", "[[users]]\nname = \"u\"\npassword_file = \"../password\"\n"];
    let address = if dice.roll(10) == 0 { 1 } else { number + 1 };
    let (devices, users, protocol) = (dice.pick(&devices), dice.pick(&users), dice.pick(&["http", "tftp", "ftp"]));
    let https = [
        "trust = [\"poly\"]\n",
        "trust = [\"poly\", \"none\"]\n",
        "require = [\"password\"]\n",
        "trust = [\"poly\"]\n",
    ];
    let https = match dice.roll(2) {
        0 => HTTPS.replace("127.0.0.1:0", &format!("10.0.0.{address}:443")) + dice.pick(&https),
        _ => String::new(),
    };
    format!(
        "name = \"{name}\"\n{network}allow = [\"10.0.0.0/8\"]\nfiles.root = \"{root}\"\n{devices}{users}\
         [[listener]]\nprotocol = \"{protocol}\"\naddress = \"10.0.0.{address}:1069\"\n{https}"
    )
}

fn edit(site: &Site, dice: &mut Dice) {
    let number = dice.roll(TENANTS);
    let file = format!("tenants.d/t{number}.toml");
    match dice.roll(14) {
        0..=4 => site.write(&file, &tenant(dice, number)),
        5 => remove(site, &file),
        6 => site.write("password", dice.pick(&["one", "two", ""])),
        7 => site
            .write("devices.csv", dice.pick(&["mac\n0004f2aabbcc\n", "mac\n0004f2aabbcd\n", "mac\nbad\n", "none\n"])),
        8 => {
            let pair = rcgen::generate_simple_self_signed(["other.example.net".to_owned()]).unwrap();
            site.write("tls/server.pem", &pair.cert.pem());
            if dice.roll(3) > 0 {
                site.write_secret("tls/server.key", &pair.signing_key.serialize_pem());
            }
        }
        9 => match dice.roll(3) {
            0 => remove(site, "trust/more.pem"),
            1 => site.write("trust/more.pem", &authority().pem()),
            _ if dice.roll(3) > 0 => {}
            _ => site.write("trust/more.pem", "nothing\n"),
        },
        10 => {
            let folder = format!("files/t{number}");
            remove(site, &folder);
            match dice.roll(3) {
                0 => std::os::unix::fs::symlink("common", site.path(&folder)).unwrap(),
                1 => {}
                _ => fs::create_dir(site.path(&folder)).unwrap(),
            }
        }
        11 => main_file(site, dice),
        12 => remove(site, dice.pick(&["password", "devices.csv", "files/common/t1", "trust/more.pem"])),
        _ => fs::create_dir_all(site.path(&format!("files/common/t{number}"))).unwrap(),
    }
}

fn main_file(site: &Site, dice: &mut Dice) {
    let defaults = dice.pick(&[
        "",
        "[defaults]\nuploads.keep = 2\n",
        "[defaults]\nuploads.keep = \"x\"\n",
        "[defaults]\nfiles.shared = [\"files/common\"]\n",
    ]);
    let mac = "mac = { attribute = \"CN\", pattern = \"^([0-9A-F]{12})$\" }";
    site.write(
        "provost.toml",
        &format!("state = \"state\"\n{defaults}[trust.poly]\nanchors = [\"trust/*.pem\"]\n{mac}\n"),
    );
}

impl Served {
    /// Without what the last load left.
    fn load(&self, site: &Site) -> Result<Loaded, Problems> {
        let former = Former {
            tenants: &self.tenants,
            removals: Removals::Accept,
            is_given_up: None,
            memory: None,
            settings: None,
        };
        reload(&site.path("provost.toml"), [], former)
    }

    fn reload(&mut self, site: &Site) -> Result<Loaded, Problems> {
        let former = Former {
            tenants: &self.tenants,
            removals: Removals::Accept,
            is_given_up: None,
            memory: Some(&self.memory),
            settings: None,
        };
        let loaded = reload(&site.path("provost.toml"), [], former)?;
        self.memory = loaded.deployment.memory.clone();
        let is_kept = |tenant: &&Arc<Tenant>| {
            loaded.failed.iter().any(|failed| failed.file == tenant.source.file)
                && !loaded.deployment.tenants.iter().any(|other| other.policy.name == tenant.policy.name)
        };
        let kept: Vec<_> = self.tenants.iter().filter(is_kept).cloned().collect();
        self.tenants = loaded.deployment.tenants.iter().cloned().chain(kept).collect();
        Ok(loaded)
    }
}

fn told(site: &Site, loaded: &Result<Loaded, Problems>) -> String {
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(problems) => return format!("refused\n{}", site.lines(problems.iter()).join("\n")),
    };
    let tenant = |tenant: &Arc<Tenant>| {
        let (source, listeners) = (&tenant.source, &tenant.listeners);
        let (devices, listens) = (tenant.devices.len(), listeners.iter().map(|each| each.address).collect::<Vec<_>>());
        format!("{} {:?} {:x?} {devices} {listens:?}", tenant.policy.name, tenant.network, source.digest)
    };
    let tenants: Vec<_> = loaded.deployment.tenants.iter().map(tenant).collect();
    // What of it concerns a tenant that is served, nobody finds who serves none.
    let failed: Vec<_> = loaded.failed.iter().map(|failed| (&failed.file, &failed.name, &failed.errors)).collect();
    format!("{}\n{failed:?}\n{}", tenants.join("\n"), site.lines(loaded.problems.iter()).join("\n"))
}

#[test]
fn a_load_finds_with_the_memory_of_the_last_what_it_would_find_without() {
    for seed in [1, 0xdead_beef, 77_777_777] {
        let (site, mut dice, mut served) = (Site::new(), Dice(seed), Served::default());
        fs::create_dir_all(site.path("files/common")).unwrap();
        for number in 0..TENANTS {
            fs::create_dir_all(site.path(&format!("files/t{number}"))).unwrap();
            site.write(&format!("tenants.d/t{number}.toml"), &tenant(&mut dice, number));
        }
        main_file(&site, &mut dice);
        let mut remembered = 0;
        for step in 0..STEPS {
            edit(&site, &mut dice);
            if dice.roll(3) == 0 {
                // What was written is old enough, so that its times tell enough.
                std::thread::sleep(Duration::from_millis(25));
            }
            let (cold, warm) = (served.load(&site), served.reload(&site));
            assert_eq!(told(&site, &warm), told(&site, &cold), "seed {seed}, step {step}");
            // What is served since may be in the way of others, or be so no more.
            let (cold, again) = (served.load(&site), served.reload(&site));
            assert_eq!(told(&site, &again), told(&site, &cold), "seed {seed}, step {step}, and nothing changed");
            let same = |tenant: &&Arc<Tenant>| {
                warm.as_ref().is_ok_and(|warm| warm.deployment.tenants.iter().any(|other| Arc::ptr_eq(other, tenant)))
            };
            remembered += again.as_ref().map_or(0, |again| again.deployment.tenants.iter().filter(same).count());
        }
        assert!(remembered > STEPS / 2, "{remembered} tenants in {STEPS} steps: the tenants have errors, mostly");
    }
}

#[test]
fn of_tenants_that_nobody_changed_nothing_is_read_but_what_tells_that() {
    let site = Site::new();
    site.write("provost.toml", "state = \"state\"\n");
    site.acme("[[listener]]\nprotocol = \"http\"\naddress = \"127.0.0.1:0\"\n");
    std::thread::sleep(Duration::from_millis(25));
    let mut served = Served::default();
    served.reload(&site).unwrap();
    let before = served.memory.clone();
    served.reload(&site).unwrap();
    let file = site.path("tenants.d/acme.toml");
    let (then, now) = (before.reading(&file), served.memory.reading(&file));
    assert!(then.zip(now).is_some_and(|(then, now)| Arc::ptr_eq(then, now)));
}
