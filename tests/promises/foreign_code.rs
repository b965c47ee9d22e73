//! The crate does not call functions and does not trust tables that other roles made (the class of CVE-2018-1058).

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel_migrations::MigrationHarness as _;
use diesel_session::{
    ConnectOptions, Error, KeyStorage, MigrationError, Now as _, OwnerLimit, SessionTable, TimeDelta,
    migrations,
};
use throwaway_postgres::Server;

use crate::adoption::ORIGINAL;
use crate::migrations::{POSTGRES_VERSIONS, migration_error};
use crate::statements::{OPERATIONS, run, visit};
use crate::support::{Database, PARTITION, Postgres, Sql};

/// A test's own server, which accepts every role. `app` and `mallory` may create anything in `public`.
struct Shared {
    database: Database,
    server: Server,
}

impl Shared {
    fn new(settings: &[&str]) -> Self {
        let server = Server::start(settings).unwrap();
        let database = Database::on(&server.url("postgres"));
        database.conn().run(
            "CREATE ROLE mallory LOGIN; CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO PUBLIC; \
             CREATE TABLE caught (what text); GRANT ALL ON caught TO PUBLIC",
        );
        Self { database, server }
    }

    fn url(&self, role: &str) -> String {
        self.database.url.replace("postgres@", &format!("{role}@"))
    }

    fn conn(&self, role: &str) -> PgConnection {
        PgConnection::establish(&self.url(role)).unwrap()
    }

    fn caught(&self) -> String {
        self.database.conn().text("SELECT coalesce(string_agg(what, ', '), '') FROM caught")
    }
}

/// For each function that the crate calls somewhere, a function whose argument types fit better than those of
/// PostgreSQL's own.
const TRAPS: &str = "
    CREATE FUNCTION quote_ident(name) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.caught VALUES (pg_catalog.concat('quote_ident as ', current_user)); RETURN pg_catalog.quote_ident($1::text); END $$;
    CREATE FUNCTION obj_description(regclass, name) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.caught VALUES (pg_catalog.concat('obj_description as ', current_user)); RETURN pg_catalog.obj_description($1::oid, $2); END $$;
    CREATE FUNCTION format(text, regclass) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.caught VALUES (pg_catalog.concat('format as ', current_user)); RETURN pg_catalog.format($1, $2); END $$;
    CREATE FUNCTION format(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.caught VALUES (pg_catalog.concat('format as ', current_user)); RETURN pg_catalog.format($1, $2); END $$;
    CREATE FUNCTION convert_to(text, text) RETURNS bytea LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.caught VALUES (pg_catalog.concat('convert_to of ', $1)); RETURN pg_catalog.convert_to($1, $2::name); END $$;
    CREATE FUNCTION pg_has_role(oid, varchar) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.caught VALUES ('pg_has_role'); RETURN true; END $$;
    CREATE FUNCTION another(bigint, bpchar) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.caught VALUES (pg_catalog.concat('count as ', current_user)); RETURN $1 + 1; END $$;
    CREATE AGGREGATE count(bpchar) (SFUNC = public.another, STYPE = bigint, INITCOND = '0');
    CREATE FUNCTION later(timestamp, interval) RETURNS timestamp LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.caught VALUES (pg_catalog.concat('date_trunc as ', current_user)); RETURN $1; END $$;
    CREATE FUNCTION date_trunc(varchar, timestamp) RETURNS timestamp LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.caught VALUES (pg_catalog.concat('date_trunc as ', current_user)); RETURN $2; END $$;
    CREATE FUNCTION current_setting(varchar) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.caught VALUES (pg_catalog.concat('current_setting as ', current_user)); RETURN ''; END $$;";

/// Creates an operator of each name for each pair of types. PostgreSQL has its own operators for most pairs of equal
/// types, and for few other pairs.
const OPERATORS: &str = "
    DO $do$
    DECLARE
      types constant text[] := ARRAY['text', 'varchar', 'bpchar', 'name', '\"char\"', 'oid', 'regclass', 'smallint',
        'integer', 'bigint', 'timestamp', 'timestamptz', 'interval'];
      one text; other text; name text; number integer := 0;
    BEGIN
      FOREACH one IN ARRAY types LOOP
        FOREACH other IN ARRAY types LOOP
          number := number + 1;
          EXECUTE format('CREATE FUNCTION trap_%s(%s, %s) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN '
            'INSERT INTO public.caught VALUES (pg_catalog.concat(%L, current_user)); RETURN true; END $$',
            number, one, other, format('an operator for %s and %s as ', one, other));
          FOREACH name IN ARRAY ARRAY['=', '<>', '<', '<=', '>', '>=', '||', '+', '-', '~~'] LOOP
            EXECUTE format('CREATE OPERATOR %s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.trap_%s)',
              name, one, other, number);
          END LOOP;
        END LOOP;
      END LOOP;
    END $do$";

/// The traps work: PostgreSQL calls them if a statement lacks `pg_catalog` and exact types.
#[test]
fn a_trap_is_called_if_its_types_fit_better() {
    let shared = Shared::new(&[]);
    let mut mallory = shared.conn("mallory");
    mallory.run(TRAPS);
    mallory.run(OPERATORS);
    let mut app = shared.conn("app");
    app.run("SELECT quote_ident(current_schema()), 'caught'::regclass = oid FROM pg_class LIMIT 1");
    let caught = shared.caught();
    assert!(
        caught.contains("quote_ident as app") && caught.contains("operator for regclass and oid"),
        "{caught}"
    );
}

#[test]
fn functions_that_others_made_are_not_called_by_migrations() {
    let shared = Shared::new(&[]);
    shared.conn("mallory").run(TRAPS);
    shared.conn("mallory").run(OPERATORS);
    let mut conn = shared.conn("app");
    conn.run(ORIGINAL);
    migrations::migrate(&mut conn, KeyStorage::Plain).unwrap();
    migrations::check(&mut conn, KeyStorage::Plain).unwrap();
    migrations::adopt(&mut conn).unwrap();
    migrations::revert(&mut conn).unwrap();
    migrations::revert(&mut conn).unwrap_err();
    migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
    conn.run("COMMENT ON TABLE session IS NULL");
    conn.run(PARTITION);
    migrations::check(&mut conn, KeyStorage::Hashed).unwrap();
    for _ in 0..POSTGRES_VERSIONS {
        migrations::revert(&mut conn).unwrap();
    }
    migrations::migrate(&mut conn, KeyStorage::Hashed).unwrap();
    assert_eq!(shared.caught(), "");
}

#[test]
fn functions_that_others_made_are_not_called_by_operations() {
    let shared = Shared::new(&[]);
    shared.conn("mallory").run(TRAPS);
    shared.conn("mallory").run(OPERATORS);
    let builder = Postgres::builder().pool_size(1).owner_limit(OwnerLimit::EndOldest(2));
    let store = builder.max_lifetime(TimeDelta::days(1)).connect(&shared.url("app")).unwrap();
    store.migrate().unwrap();
    let mut key = store.generate(None, None).unwrap();
    for (_, operation) in OPERATIONS {
        run(&store, &mut key, operation);
    }
    visit(&store);
    assert_eq!(shared.caught(), "");
}

/// Words that may precede a parenthesis and are no functions: grammar, tables with columns, types with a length.
const GRAMMAR: [&str; 25] = [
    "ANY",
    "ARRAY",
    "AND",
    "AS",
    "CHECK",
    "COUNT(*",
    "CAST",
    "EXISTS",
    "FILTER",
    "FROM",
    "IN",
    "KEY",
    "NOT",
    "OR",
    "RETURNING",
    "SELECT",
    "SET",
    "USING",
    "VALUES",
    "WHERE",
    "greatest",
    "least",
    "coalesce",
    "CONFLICT",
    "INTO",
];

/// Returns the names before a parenthesis in these statements that lack `pg_catalog`.
fn unqualified(statements: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '"';
    let mut names = BTreeSet::new();
    for (position, _) in statements.match_indices('(') {
        let before = statements[..position].trim_end();
        let name = &before[before.rfind(|c| !is_name(c)).map_or(0, |end| end + 1)..];
        let is_table = name.starts_with('"') || name.contains(".\"") || name.starts_with("__");
        if !name.is_empty() && !is_table && !name.starts_with("pg_catalog.") {
            names.insert(name.to_owned());
        }
    }
    names
}

/// The traps above cover some functions. This test looks at every name.
#[test]
fn every_function_is_called_in_pg_catalog() {
    let shared = Shared::new(&["log_statement=all"]);
    let builder = Postgres::builder().pool_size(1).owner_limit(OwnerLimit::EndOldest(2)).schema("shop");
    let options: ConnectOptions = shared.database.url.parse().unwrap();
    let store = builder.max_lifetime(TimeDelta::days(1)).connect_with(&options).unwrap();
    let before = shared.server.log().unwrap().len();
    store.migrate().unwrap();
    store.check().unwrap();
    let mut key = store.generate(None, None).unwrap();
    for (_, operation) in OPERATIONS {
        run(&store, &mut key, operation);
    }
    visit(&store);
    SessionTable::new().schema("shop").adopt(&mut shared.database.conn()).unwrap();
    SessionTable::new().schema("shop").revert(&mut shared.database.conn()).unwrap();
    let log = shared.server.log().unwrap().split_off(before);
    // Leaves out comments, and the values that each statement is bound to.
    let statements: String = log
        .lines()
        .filter(|line| !line.contains("DETAIL:") && !line.trim_start().starts_with("--"))
        .map(|line| line.split(" -- ").next().unwrap().to_owned() + "\n")
        .collect();
    assert!(statements.matches("pg_catalog.").count() > 50, "{statements}");
    let mut names = unqualified(&statements);
    // Removes types, and the names in the lists of the two migrations.
    for known in ["char", "timestamp", "VARCHAR", "session", "fillfactor", "numeric"].iter().chain(&GRAMMAR) {
        names.remove(*known);
    }
    assert_eq!(names, BTreeSet::new(), "{statements}");
}

/// Another role has created the table first, with code in it. The table does not count as the application's.
#[test]
fn a_table_of_another_role_is_refused_and_the_error_names_its_owner() {
    let shared = Shared::new(&[]);
    let mut mallory = shared.conn("mallory");
    mallory.run(ORIGINAL);
    mallory.run(
        "DELETE FROM session; CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO public.caught VALUES (pg_catalog.concat('trigger as ', current_user)); RETURN new; END $$; \
         CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON session FOR EACH ROW EXECUTE FUNCTION trap(); \
         GRANT ALL ON session TO PUBLIC",
    );
    let mut app = shared.conn("app");
    let refused = migration_error(migrations::migrate(&mut app, KeyStorage::Hashed));
    assert!(
        matches!(&refused, MigrationError::NotAMember { table, owner, .. } if table == "session" && owner == "mallory")
    );
    assert!(refused.to_string().contains("mallory"), "{refused}");
    let refused = migration_error(migrations::adopt(&mut app));
    assert!(matches!(refused, MigrationError::NotAMember { .. }), "{refused:?}");
    // A superuser is a member of every role, and has the most to lose.
    let mut superuser = shared.database.conn();
    let refused = migration_error(migrations::migrate(&mut superuser, KeyStorage::Hashed));
    assert!(
        matches!(&refused, MigrationError::UntrustedOwner { owner, .. } if owner == "mallory"),
        "{refused:?}"
    );
    for mut conn in [app, superuser] {
        let refused = migration_error(migrations::check(&mut conn, KeyStorage::Hashed));
        assert!(
            matches!(&refused, MigrationError::UntrustedOwner { owner, .. } if owner == "mallory"),
            "{refused:?}"
        );
    }
    assert_eq!(shared.caught(), "");
}

/// The table appears while the migration waits for its turn. The other role may take that lock as well.
#[test]
fn a_table_that_another_role_makes_during_the_migration_is_refused() {
    let shared = Shared::new(&[]);
    for relation in [
        "session (session_key char(40), expire_date timestamp(2) with time zone, session_data text)",
        "__diesel_session_migrations (version text, run_on timestamp)",
    ] {
        let (mut mallory, mut app) = (shared.conn("mallory"), shared.conn("app"));
        mallory.run("SELECT pg_advisory_lock(x'0064696573736573'::bigint)");
        let migrating = std::thread::spawn(move || migrations::migrate(&mut app, KeyStorage::Hashed));
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        let mut admin = shared.database.conn();
        while admin.number(waiting) == 0 {
            assert!(!migrating.is_finished(), "it did not wait for its turn");
        }
        mallory.run(&format!("CREATE TABLE {relation}; GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC"));
        mallory.run("SELECT pg_advisory_unlock_all()");
        let refused = migration_error(migrating.join().unwrap());
        assert!(
            matches!(&refused, MigrationError::NotAMember { owner, .. } if owner == "mallory"),
            "{refused:?}"
        );
        mallory.run(&format!("DROP TABLE {}", relation.split(' ').next().unwrap()));
    }
    // A table may appear even later, after the migration has seen that there is none.
    let mut app = shared.conn("app");
    app.run(ORIGINAL);
    app.run("SELECT set_config('diesel_session.table', 'missing', false)");
    let refused = app.run_pending_migrations(migrations::POSTGRES).unwrap_err();
    assert!(refused.to_string().contains("appeared"), "{refused}");
}

#[test]
fn a_migration_record_of_another_role_is_refused_and_the_error_names_its_owner() {
    let shared = Shared::new(&[]);
    shared.conn("mallory").run("CREATE TABLE __diesel_session_migrations (version text, run_on timestamp)");
    for mut conn in [shared.conn("app"), shared.database.conn()] {
        let refused = migration_error(migrations::migrate(&mut conn, KeyStorage::Hashed));
        assert!(
            refused.to_string().contains("`__diesel_session_migrations` belongs to the role mallory"),
            "{refused}"
        );
    }
}

/// A role that has only grants uses the tables of these owners.
#[test]
fn check_accepts_owners_that_need_no_trust_and_the_role_that_table_owner_names() {
    let shared = Shared::new(&[]);
    let mut admin = shared.database.conn();
    admin.run("CREATE ROLE deployer LOGIN; CREATE SCHEMA shop AUTHORIZATION mallory; GRANT ALL ON SCHEMA shop TO PUBLIC");
    let table = SessionTable::new().schema("shop");
    SessionTable::new().schema("shop").migrate(&mut admin).unwrap();
    let mut app = shared.conn("app");
    let mut owned_by = |role: &str| {
        for relation in ["session", "__diesel_session_migrations"] {
            // If the owner changes, the owner's grants go as well.
            admin.run(&format!(
                "ALTER TABLE shop.{relation} OWNER TO {role}; GRANT ALL ON shop.{relation} TO app"
            ));
        }
    };
    // A superuser, the owner of the schema, and the role itself.
    for role in ["postgres", "mallory", "app"] {
        owned_by(role);
        table.check(&mut app).unwrap_or_else(|error| panic!("{role}: {error}"));
    }
    owned_by("deployer");
    let refused = migration_error(table.check(&mut app));
    assert!(
        matches!(&refused, MigrationError::UntrustedOwner { owner, .. } if owner == "deployer"),
        "{refused:?}"
    );
    table.clone().table_owner("deployer").check(&mut app).unwrap();
    // To migrate, it is not enough to trust the owner.
    let refused = migration_error(table.clone().table_owner("deployer").migrate(&mut app));
    assert!(
        matches!(&refused, MigrationError::NotAMember { owner, .. } if owner == "deployer"),
        "{refused:?}"
    );

    let mut admin = shared.database.conn();
    admin.run(&format!("ALTER DATABASE {} OWNER TO deployer", shared.database.name()));
    table.check(&mut app).unwrap();
    admin.run(&format!("ALTER DATABASE {} OWNER TO postgres; GRANT deployer TO app", shared.database.name()));
    table.check(&mut app).unwrap();
    assert_eq!(table.migrate(&mut app).unwrap(), 0);
}

#[test]
fn a_store_checks_the_role_that_its_builder_names() {
    let shared = Shared::new(&[]);
    shared.database.conn().run("CREATE ROLE deployer LOGIN");
    migrations::migrate(&mut shared.conn("deployer"), KeyStorage::Hashed).unwrap();
    shared.conn("deployer").run(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON session TO app; GRANT SELECT ON __diesel_session_migrations TO app",
    );
    let unnamed = Postgres::connect(&shared.url("app")).unwrap();
    assert!(matches!(unnamed.check(), Err(Error::Migration(MigrationError::UntrustedOwner { .. }))));
    let named = Postgres::builder().table_owner("deployer").connect(&shared.url("app")).unwrap();
    named.check().unwrap();
    named.generate(None, None).unwrap();
}
