-- Runs gets and sets as prepared statements, on one connection per thread. The options come from sysbench.rs.

sysbench.cmdline.options = {
  get = {"The statement of a get; its parameter is the key", ""},
  set = {"The statement of a set; its parameters are the value, the period, the longest lifetime and the key", ""},
  value = {"The value that a set writes", ""},
  -- Texts, because a number option has 32 bits.
  period = {"The period that a set writes, in milliseconds", ""},
  lifetime = {"The longest lifetime of a session, in milliseconds", ""},
  rows = {"The number of sessions; their keys are the numbers from 1, in 40 digits", 0},
  sets = {"The number of sets among ten operations", 0},
}

local types = sysbench.sql.type

-- What the garbage collector must not take, because sysbench closes it then.
held = {}

local function prepare(text, ...)
  local statement = connection:prepare(text)
  local parameters = {}
  for place, parameter in ipairs({...}) do
    parameters[place] = statement:bind_create(unpack(parameter))
  end
  statement:bind_param(unpack(parameters))
  table.insert(held, parameters)
  return statement, parameters
end

function thread_init()
  connection = sysbench.sql.driver():connect()
  local key = {types.CHAR, 40}
  local parameters
  get, parameters = prepare(sysbench.opt.get, key)
  get_key = parameters[1]
  local value, number = {types.VARCHAR, #sysbench.opt.value}, {types.BIGINT}
  set, parameters = prepare(sysbench.opt.set, value, number, number, key)
  set_key = parameters[4]
  parameters[1]:set(sysbench.opt.value)
  parameters[2]:set(tonumber(sysbench.opt.period))
  parameters[3]:set(tonumber(sysbench.opt.lifetime))
end

function event()
  local key = ("%040d"):format(sysbench.rand.uniform(1, sysbench.opt.rows))
  if sysbench.rand.uniform(1, 10) <= sysbench.opt.sets then
    set_key:set(key)
    set:execute()
  else
    get_key:set(key)
    get:execute():free()
  end
end
